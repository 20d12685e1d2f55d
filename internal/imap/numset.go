package imap

import (
	"iter"
	"slices"
	"strconv"
)

// Star is "*", the largest number in use. 2^32-1 itself is not told apart from it.
const Star = 1<<32 - 1

// A Range is First to Last, both included, First <= Last.
type Range struct{ First, Last uint32 }

// A NumSet is a sequence-set (RFC 9051 §9): of UIDs or of message numbers, as
// the command says. It is normal when its ranges ascend without touching, as
// Decoder.NumSet, Add, AddRange and Normal leave it; methods that need this say so.
type NumSet []Range

// savedRange alone in a set is "$"; no other set holds 0.
var savedRange = Range{0, 0}

// IsSaved tells whether the set is "$", the result that SEARCH saved (RFC 5182).
func (s NumSet) IsSaved() bool { return len(s) == 1 && s[0] == savedRange }

// NumSetOf makes a normal set of the numbers, in any order. 0 is left out.
func NumSetOf(nums ...uint32) NumSet {
	if !slices.IsSorted(nums) {
		nums = slices.Sorted(slices.Values(nums))
	}
	var s NumSet
	for _, n := range nums {
		s.Add(n)
	}
	return s
}

// Add adds n to a normal set; cheap when n is above all others. 0 is left out.
func (s *NumSet) Add(n uint32) { s.AddRange(n, n) }

// AddRange adds first to last, in either order, to a normal set.
func (s *NumSet) AddRange(first, last uint32) {
	first, last = min(first, last), max(first, last)
	if last == 0 {
		return
	}
	first = max(first, 1)
	set := *s
	if n := len(set); n == 0 || first > set[n-1].Last {
		if n > 0 && first == set[n-1].Last+1 {
			set[n-1].Last = last
			return
		}
		*s = append(*s, Range{first, last})
		return
	}
	// The first range that overlaps or touches, and the first beyond.
	i, _ := slices.BinarySearchFunc(set, first, func(r Range, f uint32) int {
		if r.Last < f && r.Last+1 < f {
			return -1
		}
		return 1
	})
	j := i
	for j < len(set) && (set[j].First <= last || set[j].First == last+1) {
		first, last = min(first, set[j].First), max(last, set[j].Last)
		j++
	}
	*s = slices.Replace(set, i, j, Range{first, last})
}

// Normal is the set sorted and joined. "$" stays as it is.
func (s NumSet) Normal() NumSet {
	if s.IsSaved() {
		return s
	}
	sorted := slices.SortedFunc(slices.Values(s), func(a, b Range) int {
		if a.First < b.First {
			return -1
		}
		return 1
	})
	var out NumSet
	for _, r := range sorted {
		out.AddRange(r.First, r.Last)
	}
	return out
}

// Contains tells whether n is in the normal set.
func (s NumSet) Contains(n uint32) bool {
	i, _ := slices.BinarySearchFunc(s, n, func(r Range, n uint32) int {
		if r.Last < n {
			return -1
		}
		return 1
	})
	return i < len(s) && s[i].First <= n && n != 0
}

// Resolve replaces "*" in a normal set by highest, the highest number in use:
// what lies above it goes, and "n:*" with n above it is highest alone (RFC 9051
// §9, seq-range). With highest 0 (an empty mailbox) nothing is left.
func (s NumSet) Resolve(highest uint32) NumSet {
	var out NumSet
	if highest == 0 {
		return nil
	}
	for _, r := range s {
		if r.Last == Star {
			out.AddRange(min(r.First, highest), highest)
		} else if r.First <= highest {
			out.AddRange(r.First, min(r.Last, highest))
		}
	}
	return out
}

// Count is how many numbers are in the set, "*" not resolved.
func (s NumSet) Count() uint64 {
	var n uint64
	for _, r := range s {
		n += uint64(r.Last) - uint64(r.First) + 1
	}
	return n
}

// All yields the numbers in the order of the ranges. Resolve it first if a
// stranger wrote it: "1:*" has four thousand million.
func (s NumSet) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range s {
			for n := uint64(r.First); n <= uint64(r.Last); n++ {
				if !yield(uint32(n)) {
					return
				}
			}
		}
	}
}

// Split cuts the set into sets whose String is at most size bytes (a range needs
// 22), so that no command line outgrows what servers take.
func (s NumSet) Split(size int) iter.Seq[NumSet] {
	return func(yield func(NumSet) bool) {
		var buf [24]byte
		start, length := 0, 0
		for i, r := range s {
			n := len(r.append(buf[:0])) + 1
			if i > start && length+n > size {
				if !yield(s[start:i]) {
					return
				}
				start, length = i, 0
			}
			length += n
		}
		if start < len(s) {
			yield(s[start:])
		}
	}
}

// String is the set as IMAP writes it: "1:3,7,9:*".
func (s NumSet) String() string { return string(s.Append(nil)) }

// Append appends String to b.
func (s NumSet) Append(b []byte) []byte {
	if s.IsSaved() {
		return append(b, '$')
	}
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.append(b)
	}
	return b
}

func (r Range) append(b []byte) []byte {
	b = appendNumber(b, r.First)
	if r.Last != r.First {
		b = appendNumber(append(b, ':'), r.Last)
	}
	return b
}

func appendNumber(b []byte, n uint32) []byte {
	if n == Star {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

// ParseNumSet reads a sequence-set, keeping its order (RFC 4315 §3 pairs the two
// sets of COPYUID by order). Each range comes out with First <= Last.
func ParseNumSet(s string) (NumSet, bool) {
	if s == "$" {
		return NumSet{savedRange}, true
	}
	var out NumSet
	for i := 0; ; i++ {
		var r Range
		var ok bool
		if r.First, i, ok = number(s, i); !ok {
			return nil, false
		}
		r.Last = r.First
		if i < len(s) && s[i] == ':' {
			if r.Last, i, ok = number(s, i+1); !ok {
				return nil, false
			}
		}
		if r.First > r.Last {
			r.First, r.Last = r.Last, r.First
		}
		out = append(out, r)
		if i == len(s) {
			return out, true
		}
		if s[i] != ',' {
			return nil, false
		}
	}
}

// number reads a seq-number of s at i: nz-number or "*".
func number(s string, i int) (n uint32, after int, ok bool) {
	if i < len(s) && s[i] == '*' {
		return Star, i + 1, true
	}
	var wide uint64
	start := i
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if wide = wide*10 + uint64(s[i]-'0'); wide > Star {
			return 0, i, false
		}
	}
	return uint32(wide), i, i > start && wide > 0
}

// NumSet is a sequence-set, made normal. How many ranges it can have is bounded by MaxLine.
func (d *Decoder) NumSet() NumSet {
	s, ok := ParseNumSet(string(d.take(isSet)))
	if !ok {
		d.Want("a sequence set")
		return nil
	}
	return s.Normal()
}
