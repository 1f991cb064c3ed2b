package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// A key is keyPrefix, secretChars of base32 (160 random bits) and checkChars of
// base32 (their CRC-32).
const (
	keyPrefix   = "lmb_"
	secretBytes = 20
	secretChars = 32
	checkChars  = 7
	keyChars    = len(keyPrefix) + secretChars + checkChars
	maskedTail  = 4
)

const keyAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

func keyEncoding() *base32.Encoding {
	return base32.NewEncoding(keyAlphabet).WithPadding(base32.NoPadding)
}

// mintKey makes a new key.
func mintKey() string {
	var secret [secretBytes]byte
	rand.Read(secret[:]) // never fails: the program ends where there is no randomness
	text := keyEncoding().EncodeToString(secret[:])
	return keyPrefix + text + checksum(text)
}

func checksum(secret string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(secret)))
	return keyEncoding().EncodeToString(sum)
}

// checkKey tells keys that were mistyped, cut short or meant for another service
// from those worth looking up.
func checkKey(key string) error {
	if !strings.HasPrefix(key, keyPrefix) {
		return unauthorized("this is no API key of Lembra: they start with " + keyPrefix)
	}
	if len(key) != keyChars {
		return unauthorized("the API key is not whole: it has another length than keys have")
	}
	secret, check := key[len(keyPrefix):len(keyPrefix)+secretChars], key[len(keyPrefix)+secretChars:]
	if checksum(secret) != check {
		return unauthorized("the API key is mistyped: its checksum does not match")
	}
	return nil
}

// hashKey returns what the store keeps of a key.
func hashKey(key string) [32]byte { return sha256.Sum256([]byte(key)) }

// maskKey shows the end of a key, which is a part of its checksum.
func maskKey(key string) string {
	return keyPrefix + "*****" + key[len(key)-maskedTail:]
}
