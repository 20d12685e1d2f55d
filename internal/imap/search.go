package imap

import (
	"strings"
	"time"
)

// A SearchOp is the kind of a SearchKey.
type SearchOp string

// The kinds. Keys that RFC 9051 §6.4.4 defines by others come out as those:
// UNSEEN is NOT of a flag, NEW is AND(RECENT, NOT SEEN), SENTON is on its header.
const (
	SearchAll     SearchOp = "ALL"
	SearchAnd     SearchOp = "AND"     // Keys, all of them
	SearchOr      SearchOp = "OR"      // Keys, two
	SearchNot     SearchOp = "NOT"     // Keys, one
	SearchSeq     SearchOp = "SEQ"     // Set: message numbers, "*" not resolved
	SearchUID     SearchOp = "UID"     // Set
	SearchFlag    SearchOp = "FLAG"    // Text: `\Seen`, a keyword
	SearchRecent  SearchOp = "RECENT"  //
	SearchHeader  SearchOp = "HEADER"  // Field holds Text; Text "" asks for the field's presence
	SearchAddress SearchOp = "ADDRESS" // Field (FROM, TO, CC, BCC) of the envelope holds Text
	SearchSubject SearchOp = "SUBJECT" // Text
	SearchBody    SearchOp = "BODY"    // Text
	SearchText    SearchOp = "TEXT"    // Text, in header or body
	SearchBefore  SearchOp = "BEFORE"  // Date; Sent: by the Date field instead of the internal date
	SearchOn      SearchOp = "ON"      // as Before
	SearchSince   SearchOp = "SINCE"   // as Before
	SearchLarger  SearchOp = "LARGER"  // Number: bytes
	SearchSmaller SearchOp = "SMALLER" // Number: bytes
	SearchOlder   SearchOp = "OLDER"   // Number: seconds (RFC 5032)
	SearchYounger SearchOp = "YOUNGER" // Number: seconds (RFC 5032)
	SearchModSeq  SearchOp = "MODSEQ"  // Number: this or above (RFC 7162 §3.1.5)
	SearchEmailID SearchOp = "EMAILID" // Text (RFC 8474)
	SearchThread  SearchOp = "THREADID"
)

// A SearchKey is a node of a SEARCH expression.
type SearchKey struct {
	Op     SearchOp
	Keys   []SearchKey
	Set    NumSet
	Text   string // in the command's charset
	Field  string
	Date   time.Time // midnight UTC of the day meant
	Sent   bool
	Number uint64
}

// A Search is the arguments of SEARCH or UID SEARCH.
type Search struct {
	// Return holds the options of RETURN in upper case (RFC 4731): MIN, MAX,
	// ALL, COUNT, SAVE. With RETURN () it is ALL. Nil: no RETURN, answer by SEARCH.
	Return  []string
	Charset string // in upper case; "" when not given
	Key     SearchKey
}

// UsesModSeq tells whether MODSEQ is asked anywhere: the answer then tells the highest (RFC 7162 §3.1.5).
func (k *SearchKey) UsesModSeq() bool {
	if k.Op == SearchModSeq {
		return true
	}
	for i := range k.Keys {
		if k.Keys[i].UsesModSeq() {
			return true
		}
	}
	return false
}

// Search reads the arguments of SEARCH up to the end of the line.
func (d *Decoder) Search() Search {
	var s Search
	word := d.searchWord()
	if word == "RETURN" {
		d.SP()
		s.Return = []string{}
		d.List(func() { s.Return = append(s.Return, d.Command()) })
		if len(s.Return) == 0 {
			s.Return = append(s.Return, "ALL")
		}
		d.SP()
		word = d.searchWord()
	}
	if word == "CHARSET" {
		d.SP()
		s.Charset = strings.ToUpper(d.AString())
		d.SP()
		word = d.searchWord()
	}
	keys := []SearchKey{d.searchKey(word)}
	for d.err == nil && !d.AtEnd() {
		d.SP()
		keys = append(keys, d.SearchKey())
	}
	s.Key = and(keys)
	return s
}

func and(keys []SearchKey) SearchKey {
	if len(keys) == 1 {
		return keys[0]
	}
	return SearchKey{Op: SearchAnd, Keys: keys}
}

// searchWord reads a key's name in upper case, or a set; "" before "(".
func (d *Decoder) searchWord() string {
	if d.Peek() == '(' {
		return ""
	}
	return upper(d.word(isSearch, "a SEARCH key"))
}

// SearchKey reads one search-key.
func (d *Decoder) SearchKey() SearchKey { return d.searchKey(d.searchWord()) }

// flagKeys are the keys that ask for one system flag; each has an "UN" form.
var flagKeys = map[string]string{"SEEN": `\Seen`, "ANSWERED": `\Answered`, "FLAGGED": `\Flagged`, "DELETED": `\Deleted`, "DRAFT": `\Draft`}

func (d *Decoder) searchKey(word string) SearchKey {
	if d.err != nil {
		return SearchKey{}
	}
	if word == "" {
		var keys []SearchKey
		d.List(func() { keys = append(keys, d.SearchKey()) })
		if len(keys) == 0 {
			d.Want("a SEARCH key")
			return SearchKey{}
		}
		return and(keys)
	}
	if c := word[0]; c >= '0' && c <= '9' || c == '*' || c == '$' {
		set, ok := ParseNumSet(word)
		if !ok {
			d.Want("a sequence set")
		}
		return SearchKey{Op: SearchSeq, Set: set.Normal()}
	}
	if flag, ok := flagKeys[word]; ok {
		return SearchKey{Op: SearchFlag, Text: flag}
	}
	if flag, ok := flagKeys[strings.TrimPrefix(word, "UN")]; ok {
		return not(SearchKey{Op: SearchFlag, Text: flag})
	}
	switch word {
	case "ALL", "RECENT":
		return SearchKey{Op: SearchOp(word)}
	case "OLD":
		return not(SearchKey{Op: SearchRecent})
	case "NEW":
		return SearchKey{Op: SearchAnd, Keys: []SearchKey{{Op: SearchRecent}, not(SearchKey{Op: SearchFlag, Text: `\Seen`})}}
	}
	d.SP()
	switch word {
	case "NOT":
		defer d.nest()()
		return not(d.SearchKey())
	case "OR":
		defer d.nest()()
		first := d.SearchKey()
		d.SP()
		return SearchKey{Op: SearchOr, Keys: []SearchKey{first, d.SearchKey()}}
	case "KEYWORD":
		return SearchKey{Op: SearchFlag, Text: d.Flag()}
	case "UNKEYWORD":
		return not(SearchKey{Op: SearchFlag, Text: d.Flag()})
	case "UID":
		return SearchKey{Op: SearchUID, Set: d.NumSet()}
	case "FROM", "TO", "CC", "BCC":
		return SearchKey{Op: SearchAddress, Field: word, Text: d.AString()}
	case "SUBJECT", "BODY", "TEXT":
		return SearchKey{Op: SearchOp(word), Text: d.AString()}
	case "HEADER":
		field := d.AString()
		d.SP()
		return SearchKey{Op: SearchHeader, Field: field, Text: d.AString()}
	case "BEFORE", "ON", "SINCE":
		return SearchKey{Op: SearchOp(word), Date: d.Date()}
	case "SENTBEFORE", "SENTON", "SENTSINCE":
		return SearchKey{Op: SearchOp(word[4:]), Date: d.Date(), Sent: true}
	case "LARGER", "SMALLER", "OLDER", "YOUNGER":
		return SearchKey{Op: SearchOp(word), Number: d.Number64()}
	case "EMAILID", "THREADID":
		return SearchKey{Op: SearchOp(word), Text: d.AString()}
	case "MODSEQ":
		if d.Peek() == '"' { // the entry name and type are of no use any more (RFC 7162 §3.1.5)
			d.SkipValue()
			d.SP()
			d.Atom()
			d.SP()
		}
		return SearchKey{Op: SearchModSeq, Number: d.Number64()}
	}
	d.Want("a known SEARCH key")
	return SearchKey{}
}

// nest counts a level of NOT or OR, which need no parentheses to go deep.
func (d *Decoder) nest() func() {
	d.enter()
	return func() { d.depth-- }
}

func not(k SearchKey) SearchKey { return SearchKey{Op: SearchNot, Keys: []SearchKey{k}} }

// SearchKey writes the key. Text that is not ASCII goes as a literal or UTF-8
// string: CHARSET UTF-8 must then be said before.
func (e *Encoder) SearchKey(k SearchKey) *Encoder {
	date := func(word string) *Encoder {
		if k.Sent {
			word = "SENT" + word
		}
		return e.Raw(word).SP().Raw(FormatDate(k.Date))
	}
	switch k.Op {
	case SearchAnd:
		e.Open()
		for _, sub := range k.Keys {
			e.Sep().SearchKey(sub)
		}
		return e.Close()
	case SearchOr, SearchNot:
		e.Raw(string(k.Op))
		for _, sub := range k.Keys {
			e.SP().SearchKey(sub)
		}
		return e
	case SearchSeq:
		return e.NumSet(k.Set)
	case SearchUID:
		return e.Raw("UID ").NumSet(k.Set)
	case SearchFlag:
		for word, flag := range flagKeys {
			if strings.EqualFold(flag, k.Text) {
				return e.Raw(word)
			}
		}
		return e.Raw("KEYWORD ").Raw(oneLine(k.Text))
	case SearchHeader:
		return e.Raw("HEADER ").AString(k.Field).SP().String(k.Text)
	case SearchAddress:
		return e.Raw(k.Field).SP().String(k.Text)
	case SearchSubject, SearchBody, SearchText:
		return e.Raw(string(k.Op)).SP().String(k.Text)
	case SearchEmailID, SearchThread:
		return e.Raw(string(k.Op)).SP().AString(k.Text)
	case SearchBefore, SearchOn, SearchSince:
		return date(string(k.Op))
	case SearchLarger, SearchSmaller, SearchOlder, SearchYounger, SearchModSeq:
		return e.Raw(string(k.Op)).SP().Number64(k.Number)
	}
	return e.Raw(string(k.Op))
}
