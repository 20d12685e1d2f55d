package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"relais/internal/fault"
)

const (
	packSuffix = ".pack"
	newSuffix  = ".new"
	chunk      = 256 << 10 // bytes read at a time where a whole record need not be in memory
)

func packName(n uint64) string { return fmt.Sprintf("%016x%s", n, packSuffix) }

// packNumber reads what packName wrote.
func packNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, packSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && n > 0 && packName(n) == name
}

// pack is one open file of records.
type pack struct {
	number uint64
	damage error // of the header; nil for most
	// end is where the last durable record ends. Only the writer moves it.
	end atomic.Int64
	// written is when the last group was appended; zero before the first of this process.
	written time.Time // guarded by Packs.mu

	mu   sync.RWMutex // held for reading while file is used, for writing to close it
	file file
	gone error // after close: why
}

// readAt fills b from off. fault.NotFound when the pack was removed meanwhile,
// fault.Unavailable when the store was closed.
func (p *pack) readAt(b []byte, off int64) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.gone != nil {
		return p.gone
	}
	_, err := p.file.ReadAt(b, off)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return fault.Wrap(err, fault.Corrupt, "pack %d ends before the record does", p.number)
	}
	return fault.Wrap(err, fault.Temporary, "pack %d cannot be read", p.number)
}

// close waits for the readers; whoever comes later gets the reason.
func (p *pack) close(reason error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil {
		return nil
	}
	p.gone = reason
	return p.file.Close()
}

// headerAt reads the head of the record at off. fault.Corrupt when there is none that ends by limit.
func (p *pack) headerAt(off, limit int64) (header, error) {
	var b [headerSize]byte
	if limit-off < headerSize {
		return header{}, fault.New(fault.Corrupt, "%d bytes are no record", limit-off)
	}
	if err := p.readAt(b[:], off); err != nil {
		return header{}, err
	}
	h, err := parseHeader(b[:])
	if err == nil && h.length() > limit-off {
		err = fault.New(fault.Corrupt, "a record is cut short")
	}
	return h, err
}

// payloadWhole tells whether the payload of the record at off has the CRC that
// its header h says. It holds little in memory.
func (p *pack) payloadWhole(h *header, off int64) (bool, error) {
	buf := make([]byte, min(chunk, h.payload))
	crc := uint32(0)
	for at, end := off+headerSize, off+h.length(); at < end; {
		b := buf[:min(int64(len(buf)), end-at)]
		if err := p.readAt(b, at); err != nil {
			return false, err
		}
		crc = crc32.Update(crc, castagnoli, b)
		at += int64(len(b))
	}
	return crc == h.crc, nil
}

// isDamage tells an error of the bytes from one of the medium or the caller.
func isDamage(err error) bool { return fault.Is(err, fault.Corrupt) || fault.Is(err, fault.Invalid) }

// resync looks from off on for a place where a whole record lies; limit when there is none.
func (p *pack) resync(ctx context.Context, off, limit int64) (int64, error) {
	buf := make([]byte, chunk)
	for limit-off >= headerSize {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		b := buf[:min(chunk, limit-off)]
		if err := p.readAt(b, off); err != nil {
			return 0, err
		}
		for i := 0; ; i++ {
			j := bytes.Index(b[i:], []byte(recordMagic))
			if j < 0 {
				break
			}
			i += j
			h, err := p.headerAt(off+int64(i), limit)
			if err == nil {
				var whole bool
				if whole, err = p.payloadWhole(&h, off+int64(i)); whole {
					return off + int64(i), nil
				}
			}
			if err != nil && !isDamage(err) {
				return 0, err
			}
		}
		// A magic may lie across two chunks.
		off += int64(len(b) - len(recordMagic) + 1)
	}
	return limit, nil
}

// walk goes through the records of the pack up to limit. found gets the header,
// its offset and the record, in memory that the next record reuses and that found
// may alter; damaged gets each stretch without a whole record.
func (p *pack) walk(ctx context.Context, limit int64, found func(h *header, off int64, record []byte) error, damaged func(Damage) error) error {
	if p.damage != nil {
		if err := damaged(Damage{Ref: Ref{p.number, 0, min(packHeaderSize, limit)}, Err: p.damage}); err != nil {
			return err
		}
	}
	var buf []byte
	for off := int64(packHeaderSize); off < limit; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := p.headerAt(off, limit)
		if isDamage(err) {
			next, rerr := p.resync(ctx, off+1, limit)
			if rerr != nil {
				return rerr
			}
			if err := damaged(Damage{Ref: Ref{p.number, off, next - off}, Err: err}); err != nil {
				return err
			}
			off = next
			continue
		}
		if err != nil {
			return err
		}
		if int64(cap(buf)) < h.length() {
			buf = make([]byte, h.length()+h.length()/4)
		}
		record := buf[:h.length()]
		if err := p.readAt(record, off); err != nil {
			return err
		}
		if h.whole(record[headerSize:]) {
			err = found(&h, off, record)
		} else {
			err = damaged(Damage{Ref{p.number, off, h.length()}, h.tenant, h.hash, fault.New(fault.Corrupt, "the payload of a record is damaged")})
		}
		if err != nil {
			return err
		}
		off += h.length()
	}
	return nil
}

// lastWhole is where the last whole record of the first size bytes ends; the
// size of the pack's header when there is none. fault.Invalid when a newer
// release wrote a record: those bytes are whole, only unknown here.
func (p *pack) lastWhole(ctx context.Context, size int64) (int64, error) {
	type place struct {
		h   header
		off int64
	}
	// Sealed packs are not read at start, so this is one pack's list of heads:
	// some ten megabytes at the worst, for a moment.
	var heads []place
	for off := int64(packHeaderSize); off < size; {
		h, err := p.headerAt(off, size)
		switch {
		case err == nil:
			heads = append(heads, place{h, off})
			off += h.length()
		case fault.Is(err, fault.Corrupt):
			if off, err = p.resync(ctx, off+1, size); err != nil {
				return 0, err
			}
		default:
			return 0, err
		}
	}
	for i := len(heads) - 1; i >= 0; i-- {
		whole, err := p.payloadWhole(&heads[i].h, heads[i].off)
		if err != nil {
			return 0, err
		}
		if whole {
			return heads[i].off + heads[i].h.length(), nil
		}
	}
	return packHeaderSize, nil
}
