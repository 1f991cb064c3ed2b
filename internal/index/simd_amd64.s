#include "textflag.h"

// How many bits are set in each value of four bits.
DATA bits<>+0(SB)/8, $0x0302020102010100
DATA bits<>+8(SB)/8, $0x0403030203020201
GLOBL bits<>(SB), RODATA|NOPTR, $16

DATA low<>+0(SB)/8, $0x0f0f0f0f0f0f0f0f
DATA low<>+8(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL low<>(SB), RODATA|NOPTR, $16

DATA size<>+0(SB)/4, $256
GLOBL size<>(SB), RODATA|NOPTR, $4

// COUNT counts in how many bits of each 64 a code and the signs differ.
#define COUNT(at, count) \
	VPXOR    at(BX), Y15, count   \
	VPAND    count, Y13, Y8       \
	VPSRLW   $4, count, count     \
	VPAND    count, Y13, count    \
	VPSHUFB  Y8, Y14, Y8          \
	VPSHUFB  count, Y14, count    \
	VPADDB   Y8, count, count     \
	VPSADBW  Y12, count, count

// JOIN adds up the first and the second 128 bits' halves of four codes' counts: of a, b, c
// and d four numbers of 32 bits in each half of a.
#define JOIN(a, b, c, d) \
	VPSLLQ      $32, b, b  \
	VPOR        b, a, a    \
	VPSLLQ      $32, d, d  \
	VPOR        d, c, c    \
	VPUNPCKLQDQ c, a, b    \
	VPUNPCKHQDQ c, a, a    \
	VPADDD      b, a, a

// func roughAVX2(above, factors *float32, codes *uint64, signs *[4]uint64, n int, step, mean float32)
TEXT ·roughAVX2(SB), NOSPLIT, $0-48
	MOVQ           above+0(FP), DI
	MOVQ           factors+8(FP), SI
	MOVQ           codes+16(FP), BX
	MOVQ           signs+24(FP), DX
	MOVQ           n+32(FP), CX
	VMOVDQU        (DX), Y15
	VBROADCASTI128 bits<>(SB), Y14
	VBROADCASTI128 low<>(SB), Y13
	VPXOR          Y12, Y12, Y12
	VPBROADCASTD   size<>(SB), Y11
	VBROADCASTSS   step+40(FP), Y10
	VBROADCASTSS   mean+44(FP), Y9

loop:
	COUNT(0, Y0)
	COUNT(32, Y1)
	COUNT(64, Y2)
	COUNT(96, Y3)
	COUNT(128, Y4)
	COUNT(160, Y5)
	COUNT(192, Y6)
	COUNT(224, Y7)
	JOIN(Y0, Y1, Y2, Y3)
	JOIN(Y4, Y5, Y6, Y7)
	VPERM2I128 $0x20, Y4, Y0, Y1
	VPERM2I128 $0x31, Y4, Y0, Y0
	VPADDD     Y1, Y0, Y0

	// step * (256 - 2*apart) * factor - mean
	VPADDD    Y0, Y0, Y0
	VPSUBD    Y0, Y11, Y0
	VCVTDQ2PS Y0, Y0
	VMULPS    Y10, Y0, Y0
	VMULPS    (SI), Y0, Y0
	VSUBPS    Y9, Y0, Y0
	VMOVUPS   Y0, (DI)
	ADDQ      $32, DI
	ADDQ      $32, SI
	ADDQ      $256, BX
	SUBQ      $8, CX
	JNZ       loop
	VZEROUPPER
	RET

DATA lasting<>+0(SB)/4, $255
GLOBL lasting<>(SB), RODATA|NOPTR, $4

DATA one<>+0(SB)/4, $0x3f800000
GLOBL one<>(SB), RODATA|NOPTR, $4

DATA gone<>+0(SB)/4, $0xff7fffff
GLOBL gone<>(SB), RODATA|NOPTR, $4

// func sumAVX2(parts, memories, bounded *float32, docs *doc, sessions *cell, stretches *float32, n int, before, weight, offset, share float32, of *[4][8]uint32)
TEXT ·sumAVX2(SB), NOSPLIT, $0-80
	MOVQ         parts+0(FP), DI
	MOVQ         memories+8(FP), SI
	MOVQ         bounded+16(FP), BX
	MOVQ         docs+24(FP), DX
	MOVQ         sessions+32(FP), R9
	MOVQ         stretches+40(FP), R8
	MOVQ         n+48(FP), CX
	VBROADCASTSS before+56(FP), Y8
	VBROADCASTSS weight+60(FP), Y15
	VBROADCASTSS offset+64(FP), Y14
	VBROADCASTSS share+68(FP), Y13
	MOVQ         of+72(FP), AX
	VXORPS       Y12, Y12, Y12
	VBROADCASTSS gone<>(SB), Y11 // the largest part
	VPXOR        Y10, Y10, Y10   // the marks
	VPXOR        Y9, Y9, Y9      // the most terms

sum:
	// weight * (offset + above + share*(before + behind))
	VMOVUPS    (DI), Y0
	VPERM2F128 $0x21, Y0, Y8, Y1
	VPALIGNR   $12, Y1, Y0, Y1
	VMOVAPS    Y0, Y8
	VMAXPS     Y12, Y1, Y1
	VMOVUPS    4(DI), Y2
	VMAXPS     Y12, Y2, Y2
	VADDPS     Y2, Y1, Y1
	VMULPS     Y13, Y1, Y1
	VADDPS     Y0, Y14, Y0
	VADDPS     Y1, Y0, Y0
	VMULPS     Y15, Y0, Y0

	// Eight docs: their sessions to Y5, places to Y2, tokens to Y1.
	VMOVDQU     (DX), X1
	VINSERTI128 $1, 64(DX), Y1, Y1
	VMOVDQU     16(DX), X2
	VINSERTI128 $1, 80(DX), Y2, Y2
	VMOVDQU     32(DX), X3
	VINSERTI128 $1, 96(DX), Y3, Y3
	VMOVDQU     48(DX), X4
	VINSERTI128 $1, 112(DX), Y4, Y4
	VPUNPCKLDQ  Y2, Y1, Y5
	VPUNPCKLDQ  Y4, Y3, Y6
	VPUNPCKHDQ  Y2, Y1, Y1
	VPUNPCKHDQ  Y4, Y3, Y3
	VPUNPCKHQDQ Y6, Y5, Y2
	VPUNPCKLQDQ Y6, Y5, Y5
	VPUNPCKLQDQ Y3, Y1, Y1
	VPOR        Y2, Y10, Y10
	VPMAXUD     Y1, Y9, Y9

	// + memory*(1 + stretch) + bounded
	VPBROADCASTD lasting<>(SB), Y2
	VPMINUD      Y2, Y1, Y1
	VPCMPEQD     Y7, Y7, Y7
	VMOVDQA      Y7, Y3
	VGATHERDPS   Y3, (R8)(Y1*4), Y2
	VBROADCASTSS one<>(SB), Y4
	VADDPS       Y4, Y2, Y2
	VMULPS       (SI), Y2, Y2
	VADDPS       Y2, Y0, Y0
	VADDPS       (BX), Y0, Y0

	// + session, of the living
	VPCMPEQD     Y7, Y5, Y4
	VPXOR        Y7, Y4, Y4
	VPADDD       Y5, Y5, Y1
	VPADDD       Y5, Y1, Y1
	VBROADCASTSS gone<>(SB), Y2
	VGATHERDPS   Y4, (R9)(Y1*4), Y2
	VADDPS       Y2, Y0, Y0
	VMOVUPS      Y0, (DI)
	VMAXPS       Y0, Y11, Y11
	ADDQ         $32, DI
	ADDQ         $32, SI
	ADDQ         $32, BX
	ADDQ         $128, DX
	SUBQ         $8, CX
	JNZ          sum
	VMOVUPS      Y11, (AX)
	VMOVDQU      Y10, 32(AX)
	VMOVDQU      Y9, 64(AX)
	VMOVUPS      Y8, 96(AX)
	VZEROUPPER
	RET
