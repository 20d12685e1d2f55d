package imap

import (
	"bytes"
	"io"
	"testing"
)

// FuzzDecoder reads whatever comes as both sides would, and holds that every
// line is left behind, that limits hold and that nothing panics.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{
		"a UID FETCH 1:*,3 (FLAGS BODY.PEEK[1.HEADER.FIELDS (A B)]<0.5>) (CHANGEDSINCE 5 VANISHED)\r\n",
		"a SEARCH RETURN (MIN) CHARSET UTF-8 OR (SEEN) NOT FROM {3+}\r\nabc 1:* MODSEQ 4\r\n",
		"a UID STORE 1 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Seen $a)\r\n",
		"a SELECT &AOk- (QRESYNC (1 2 3:4 (1 2)))\r\n",
		"* 1 FETCH (BODYSTRUCTURE ((\"a\" \"b\" NIL NIL NIL \"7BIT\" 3)(\"text\" \"b\" NIL NIL NIL NIL 3 4) \"mixed\") ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n",
		"* LIST (\\Sent) \"/\" \"x\" (\"OLDNAME\" (\"y\"))\r\n* STATUS x (MESSAGES 1 MAILBOXID (a))\r\n",
		"* ESEARCH (TAG \"a\") UID ALL 1:3\r\n* SEARCH 1 2 (MODSEQ 4)\r\na OK [COPYUID 1 1:2 3:4] done\r\n",
		"a LIST (SUBSCRIBED) \"\" (a b%) RETURN (STATUS (MESSAGES))\r\n",
		"a x {5}\r\nhello {3+}\r\nabc ~{2}\r\n\x00\x00\r\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, server bool) {
		d := NewDecoder(bytes.NewReader(in), DecoderOptions{Server: server, MaxLine: 4096, MaxString: 1024, MaxLiteral: 4096, MaxDepth: 20, Buffer: 64})
		e := NewEncoder(io.Discard, 0)
		for lines := 0; d.Err() == nil || d.DiscardLine() == nil; lines++ {
			if lines > len(in) {
				t.Fatal("more lines than bytes")
			}
			if d.Peek(); d.Err() != nil {
				return
			}
			tag := d.Tag()
			d.SP()
			name := d.Command()
			if name == "UID" {
				d.SP()
				name = d.Command()
			}
			switch name {
			case "FETCH":
				d.SP()
				d.NumSet()
				d.SP()
				e.FetchItems(d.FetchItems())
				if d.Accept(' ') {
					d.FetchModifiers()
				}
			case "SEARCH":
				if server {
					d.SP()
					e.SearchKey(d.Search().Key)
				} else {
					d.SearchData()
				}
			case "ESEARCH":
				e.ESearchData(d.ESearchData())
			case "STORE":
				d.SP()
				d.NumSet()
				d.SP()
				e.Store(d.Store())
			case "SELECT":
				d.SP()
				d.Mailbox()
				d.SP()
				e.SelectParams(d.SelectParams())
			case "LIST":
				d.SP()
				if server {
					e.ListCommand(d.ListCommand())
				} else {
					e.ListData("LIST", d.ListData())
				}
			case "STATUS":
				d.SP()
				e.StatusData(d.StatusData())
			case "OK":
				e.Status("*", d.Status(name))
				continue
			default:
				if d.Accept(' ') && !server && name == "1" { // a FETCH response
					d.Command()
					d.SP()
					d.List(func() { fetchValue(d, e) })
				}
			}
			if tag != "*" {
				for d.Accept(' ') {
					d.SkipValue()
				}
			}
			d.CRLF()
		}
	})
}

func fetchValue(d *Decoder, e *Encoder) {
	item := d.FetchItem()
	d.SP()
	switch item.Name {
	case ItemBodyStructure:
		e.BodyStructure(d.BodyStructure(), true)
	case ItemEnvelope:
		e.Envelope(d.Envelope())
	case ItemFlags:
		e.Flags(d.Flags())
	case ItemInternalDate:
		e.DateTime(d.DateTime())
	default:
		d.SkipValue()
	}
}
