package mime

import "strings"

// maxIDs bounds the identifiers read from one field: real threads have some hundreds.
const maxIDs = 5000

// MessageIDs reads the identifiers of a Message-ID, In-Reply-To or References
// value with their angle brackets, without white space inside, in order and
// each once (RFC 5322 §3.6.4). Words outside brackets are passed over.
func MessageIDs(value string) []string {
	var ids []string
	seen := map[string]bool{}
	for len(ids) < maxIDs {
		_, rest, ok := strings.Cut(value, "<")
		if !ok {
			break
		}
		id, after, ok := strings.Cut(rest, ">")
		if !ok {
			break
		}
		if i := strings.LastIndexByte(id, '<'); i >= 0 {
			id = id[i+1:]
		}
		if id = strings.Join(strings.Fields(id), ""); id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, "<"+id+">")
		}
		value = after
	}
	return ids
}
