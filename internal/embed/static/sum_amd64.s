#include "textflag.h"

// ADD adds 16 bytes of a row to a lane of 16 numbers.
#define ADD(at, lane) \
	VPMOVSXBW at(AX), Y8      \
	VPADDW    Y8, lane, lane

// FLUSH adds a lane to 16 numbers of the sum.
#define FLUSH(at, lane, low) \
	VPMOVSXWD    low, Y8           \
	VPADDD       at(DI), Y8, Y8    \
	VMOVDQU      Y8, at(DI)        \
	VEXTRACTI128 $1, lane, X8      \
	VPMOVSXWD    X8, Y8            \
	VPADDD       at+32(DI), Y8, Y8 \
	VMOVDQU      Y8, at+32(DI)

// func addAVX2(to *sum, table *byte, rows *uint16, n int)
TEXT ·addAVX2(SB), NOSPLIT, $0-32
	MOVQ to+0(FP), DI
	MOVQ table+8(FP), DX
	MOVQ $2, BX

half:
	MOVQ  rows+16(FP), SI
	MOVQ  n+24(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7

row:
	MOVWLZX (SI), AX
	SHLQ    $8, AX
	ADDQ    DX, AX
	ADD(0, Y0)
	ADD(16, Y1)
	ADD(32, Y2)
	ADD(48, Y3)
	ADD(64, Y4)
	ADD(80, Y5)
	ADD(96, Y6)
	ADD(112, Y7)
	ADDQ    $2, SI
	DECQ    CX
	JNZ     row

	FLUSH(0, Y0, X0)
	FLUSH(64, Y1, X1)
	FLUSH(128, Y2, X2)
	FLUSH(192, Y3, X3)
	FLUSH(256, Y4, X4)
	FLUSH(320, Y5, X5)
	FLUSH(384, Y6, X6)
	FLUSH(448, Y7, X7)
	ADDQ $128, DX
	ADDQ $512, DI
	DECQ BX
	JNZ  half
	VZEROUPPER
	RET
