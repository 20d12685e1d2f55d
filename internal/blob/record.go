package blob

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"relais/internal/fault"
	"relais/internal/mail"
)

// The layout of docs/formats/packs.md, version 1.
const (
	packHeaderSize = 32
	packVersion    = 1
	packMagic      = "RELAISPK"

	headerSize    = 96
	recordVersion = 1
	recordMagic   = "\xb5RLR"
	sealedSize    = 88 // bytes of the header that are authenticated
	nonceAt       = 68
	nonceSize     = 12
	tagSize       = 16
	dataKey       = 1 // the number of a tenant's data key

	flagZstd = 1

	// maxPayload bounds what a header may claim: a body and its manifest.
	maxPayload = MaxBody + maxSegments*64 + tagSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the head of a record.
type header struct {
	flags   byte
	tenant  mail.TenantID
	hash    mail.Hash
	size    int64 // of the body
	payload int64 // length of the payload
	crc     uint32
}

// length is that of the whole record.
func (h *header) length() int64 { return headerSize + h.payload }

func (h *header) record(pack uint64, off int64) Record {
	return Record{h.tenant, h.hash, h.size, Ref{pack, off, h.length()}}
}

// put writes the authenticated part of the header to b; the nonce is the caller's.
func (h *header) put(b []byte) {
	clear(b[:headerSize])
	copy(b, recordMagic)
	b[4], b[5] = recordVersion, h.flags
	binary.LittleEndian.PutUint64(b[8:], uint64(h.tenant))
	binary.LittleEndian.PutUint32(b[16:], dataKey)
	copy(b[20:], h.hash[:])
	binary.LittleEndian.PutUint64(b[52:], uint64(h.size))
	binary.LittleEndian.PutUint64(b[60:], uint64(h.payload))
}

// finish sets both CRCs of a record whose payload is encrypted.
func finish(record []byte) {
	binary.LittleEndian.PutUint32(record[88:], crc32.Checksum(record[headerSize:], castagnoli))
	binary.LittleEndian.PutUint32(record[92:], crc32.Checksum(record[:92], castagnoli))
}

// parseHeader reads the head of a record. Its errors are fault.Corrupt, or
// fault.Invalid when a newer release wrote it.
func parseHeader(b []byte) (header, error) {
	var h header
	if len(b) < headerSize || string(b[:4]) != recordMagic {
		return h, fault.New(fault.Corrupt, "no record begins here")
	}
	if crc32.Checksum(b[:92], castagnoli) != binary.LittleEndian.Uint32(b[92:]) {
		return h, fault.New(fault.Corrupt, "the header of a record is damaged")
	}
	h.flags = b[5]
	h.tenant = mail.TenantID(binary.LittleEndian.Uint64(b[8:]))
	h.hash = mail.Hash(b[20:52])
	size, payload := binary.LittleEndian.Uint64(b[52:]), binary.LittleEndian.Uint64(b[60:])
	h.crc = binary.LittleEndian.Uint32(b[88:])
	key := binary.LittleEndian.Uint32(b[16:])
	if b[4] != recordVersion || h.flags&^flagZstd != 0 || key != dataKey {
		return h, fault.New(fault.Invalid, "a record has version %d, flags %#x, key %d: a newer release wrote it", b[4], h.flags, key)
	}
	if size > MaxBody || payload < tagSize || payload > maxPayload {
		return h, fault.New(fault.Corrupt, "the header of a record claims %d bytes in %d", size, payload)
	}
	h.size, h.payload = int64(size), int64(payload)
	return h, nil
}

// whole tells whether the payload is the one whose CRC the header has.
func (h *header) whole(payload []byte) bool {
	return crc32.Checksum(payload, castagnoli) == h.crc
}

// packHeader is the head of pack number n.
func packHeader(n uint64) []byte {
	b := make([]byte, packHeaderSize)
	copy(b, packMagic)
	binary.LittleEndian.PutUint16(b[8:], packVersion)
	binary.LittleEndian.PutUint64(b[12:], n)
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	return b
}

// checkPackHeader tells whether b is the head of pack n. fault.Invalid: a newer
// release made it; fault.Corrupt: anything else.
func checkPackHeader(b []byte, n uint64) error {
	switch {
	case bytes.Equal(b, packHeader(n)):
		return nil
	case len(b) == packHeaderSize && string(b[:8]) == packMagic &&
		crc32.Checksum(b[:28], castagnoli) == binary.LittleEndian.Uint32(b[28:]) &&
		binary.LittleEndian.Uint16(b[8:]) > packVersion:
		return fault.New(fault.Invalid, "pack %d has format version %d, this release reads version %d: use the release that wrote it",
			n, binary.LittleEndian.Uint16(b[8:]), packVersion)
	}
	return fault.New(fault.Corrupt, "the header of pack %d is damaged", n)
}
