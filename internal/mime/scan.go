package mime

import "bytes"

// Parse reads the structure of a message. It takes time linear in the message's
// size and never fails; raw is not kept.
func Parse(raw []byte) *Part {
	root := &Part{}
	s := scanner{raw: raw, parts: 1}
	s.open(root, nil)
	s.run()
	return root
}

// scanner walks the lines once, with the chain of parts that are open.
type scanner struct {
	raw    []byte
	pos    int
	cut    cut
	parts  int
	chain  []frame
	bounds []boundary
}

// cut is where a header was ended by a boundary in place of an empty line: the
// line break between edge and pos is no longer of the parts from depth on.
type cut struct{ edge, depth int }

// frame is an open part: the innermost is last in the chain.
type frame struct {
	part    *Part
	message bool // directly inside message/rfc822, or the message itself
}

// boundary is one that may end parts, with the depth of its multipart in the chain.
type boundary struct {
	text  []byte
	depth int
}

func (s *scanner) open(p *Part, parent *Part) {
	p.Start = s.cut.edge
	message := parent == nil || parent.Kind == Message
	if parent != nil {
		parent.Parts = append(parent.Parts, p)
		s.parts++
	}
	s.chain = append(s.chain, frame{p, message})
}

func (s *scanner) run() {
	for {
		s.header()
		f := s.chain[len(s.chain)-1]
		if f.part.Kind == Message {
			s.open(&Part{}, f.part)
			continue
		}
		if !s.body() {
			break
		}
	}
	s.closeTo(0, len(s.raw))
	s.chain[0].part.close(s.raw, len(s.raw))
}

// closeTo ends the parts inside the one at depth.
func (s *scanner) closeTo(depth, end int) {
	for len(s.chain) > depth+1 {
		s.chain[len(s.chain)-1].part.close(s.raw, end)
		s.chain = s.chain[:len(s.chain)-1]
	}
}

func (p *Part) close(raw []byte, end int) {
	p.End = max(end, p.Body)
	if len(p.Parts) == 0 {
		p.Lines = bytes.Count(raw[p.Body:p.End], lf)
		return
	}
	// Lines of the parts inside are known: count only what lies between them,
	// so that depth costs nothing.
	at := p.Body
	for _, q := range p.Parts {
		p.Lines += bytes.Count(raw[at:q.Body], lf) + q.Lines
		at = q.End
	}
	p.Lines += bytes.Count(raw[at:p.End], lf)
}

// header reads the header of the innermost part. It ends at an empty line, at a
// boundary of a part around it (whose line break then belongs to the boundary),
// or with the message.
func (s *scanner) header() {
	f := s.chain[len(s.chain)-1]
	start, depth := s.pos, len(s.chain)-1
	end, body, empty := s.cut.edge, s.cut.edge, false
	resume := start
	for resume < len(s.raw) {
		if s.matchAt(resume) >= 0 {
			if resume > start {
				end = lineBreakBefore(s.raw, resume)
				body = end
			}
			break
		}
		next := lineEnd(s.raw, resume)
		if isEmptyLine(s.raw[resume:next]) {
			body, resume, empty = next, next, true
			break
		}
		end, body, resume = next, next, next
	}
	h := s.raw[f.part.Start:end]
	if len(h) > maxHeader {
		h = h[:maxHeader]
	}
	p := f.part
	p.Body, s.pos = body, resume
	if resume > start {
		s.cut = cut{body, depth}
	}
	inDigest := depth > 0 && s.chain[depth-1].part.Digest
	insidePart := depth > 0 && s.chain[depth-1].part.Kind == Multipart
	bound, ok := p.readHeader(h, f.message, insidePart, inDigest)
	if depth >= maxDepth-1 || s.parts >= maxParts {
		p.Kind = Leaf
	}
	if p.Kind == Multipart && ok && empty {
		s.bounds = append(s.bounds, boundary{bound, depth})
	}
	if b := s.matchAt(s.pos); empty && b >= 0 && s.bounds[b].depth != depth {
		// The empty line, too, is the line break of a boundary right after it.
		p.Body = lineBreakBefore(s.raw, s.pos)
		s.cut = cut{p.Body, depth}
	}
}

// body reads up to the next part's first line. It is false at the end of the message.
func (s *scanner) body() bool {
	for {
		at, b := s.nextBoundary()
		if b < 0 {
			return false
		}
		found := s.bounds[b]
		end := lineBreakBefore(s.raw, at)
		if at == s.pos {
			s.closeTo(max(s.cut.depth-1, found.depth), s.cut.edge)
			end = at
		}
		s.closeTo(found.depth, end)
		rest := s.raw[at+2+len(found.text):]
		final := bytes.HasPrefix(rest, dashes)
		s.pos = lineEnd(s.raw, at)
		s.cut = cut{s.pos, 0}
		if s.raw[s.pos-1] != '\n' {
			return false // the last line of the message: nothing can follow
		}
		if final {
			s.bounds = s.bounds[:b]
			continue // what follows is the epilogue
		}
		s.bounds = s.bounds[:b+1]
		if s.parts >= maxParts {
			continue
		}
		s.open(&Part{}, s.chain[found.depth].part)
		return true
	}
}

// nextBoundary finds the next line that is a boundary: its offset and index in bounds, or -1.
func (s *scanner) nextBoundary() (int, int) {
	if len(s.bounds) == 0 {
		return 0, -1
	}
	if b := s.matchAt(s.pos); b >= 0 {
		return s.pos, b
	}
	for pos := s.pos; ; {
		i := bytes.Index(s.raw[pos:], lineDashes)
		if i < 0 {
			return 0, -1
		}
		pos += i + 1
		if b := s.matchAt(pos); b >= 0 {
			return pos, b
		}
	}
}

// matchAt tells which boundary the line at pos is: the longest that the line
// begins with, since much software compares only so far, and of equal ones the
// innermost. -1 if none.
func (s *scanner) matchAt(pos int) int {
	if len(s.bounds) == 0 || !bytes.HasPrefix(s.raw[pos:], dashes) {
		return -1
	}
	line := s.raw[pos+2:]
	if len(line) > maxBoundary+4 {
		line = line[:maxBoundary+4]
	}
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
	}
	// "foo--" ends foo, or is one of the parts of "foo--".
	short := line
	if n := len(line); n > 2 && line[n-1] == '-' && line[n-2] == '-' {
		short = line[:n-2]
	}
	best := -1
	for i := len(s.bounds) - 1; i >= 0; i-- {
		b := s.bounds[i].text
		if (best < 0 || len(b) > len(s.bounds[best].text)) && bytes.HasPrefix(line, b) {
			best = i
			if len(b) == len(line) || len(b) == len(short) {
				break
			}
		}
	}
	return best
}

var (
	lf         = []byte("\n")
	dashes     = []byte("--")
	lineDashes = []byte("\n--")
)

// lineEnd is the offset after the line that holds pos.
func lineEnd(raw []byte, pos int) int {
	if i := bytes.IndexByte(raw[pos:], '\n'); i >= 0 {
		return pos + i + 1
	}
	return len(raw)
}

// isEmptyLine tells whether the line is nothing but its line break. (A last line
// without one is never empty.)
func isEmptyLine(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

func lineBreakBefore(raw []byte, pos int) int {
	if pos > 0 && raw[pos-1] == '\n' {
		pos--
		if pos > 0 && raw[pos-1] == '\r' {
			pos--
		}
	}
	return pos
}
