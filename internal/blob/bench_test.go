package blob

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"relais/internal/mail"
)

// message is text of words, and base64 of noise from 8 KB on, as mail is.
func message(r *rand.Rand, size int) []byte {
	words := strings.Fields("Bonjour the quick invoice attached please find meeting tomorrow regards société facture merci we would like to confirm delivery order number payment terms as discussed")
	var b strings.Builder
	for b.Len() < min(size, 8000) {
		fmt.Fprintf(&b, "%s %s %x\r\n", words[r.IntN(len(words))], words[r.IntN(len(words))], r.Uint32())
	}
	noise := make([]byte, max(0, size-b.Len())*3/4)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	for text := base64.StdEncoding.EncodeToString(noise); len(text) > 0; text = text[min(76, len(text)):] {
		b.WriteString(text[:min(76, len(text))] + "\r\n")
	}
	return []byte(b.String())
}

// cpu is the processor time of this process, in its own code and in the kernel.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cachedKey gives the cipher that it holds, as keys.Ring does.
type cachedKey struct{ cipher.AEAD }

func (k cachedKey) Key(context.Context, mail.TenantID) (cipher.AEAD, error) { return k.AEAD, nil }

func keyOnce(b *testing.B) Keys {
	aead, err := oneKey{}.Key(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	return cachedKey{aead}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{5_000, 75_000} {
		body := message(rand.New(rand.NewPCG(1, 2)), size)
		put := Put{1, mail.Sum(body), body}
		for _, writers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%dKB/%d", size/1000, writers), func(b *testing.B) {
				dir := b.TempDir()
				f := &failing{folder: osFolder(dir)}
				s, err := Open(b.Context(), Config{Dir: dir, Keys: keyOnce(b), folder: f})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				before := cpu(b)
				var all sync.WaitGroup
				for range writers {
					all.Go(func() {
						for left.Add(-1) >= 0 {
							if _, err := s.Append(b.Context(), []Put{put}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(float64(f.syncs)/float64(b.N), "syncs/record")
				b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/record")
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{5_000, 75_000} {
		b.Run(fmt.Sprintf("%dKB", size/1000), func(b *testing.B) {
			s, err := Open(b.Context(), Config{Dir: b.TempDir(), Keys: keyOnce(b)})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			body := message(rand.New(rand.NewPCG(1, 2)), size)
			h := mail.Sum(body)
			refs, err := s.Append(b.Context(), []Put{{1, h, body}})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Read(b.Context(), 1, h, refs[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
