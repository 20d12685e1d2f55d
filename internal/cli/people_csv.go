package cli

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"relais/internal/adminapi"
)

// maxCSV bounds a file of people, 32 MiB: some two hundred thousand of them.
const maxCSV = 32 << 20

// The columns of a file of people, in any order; email must be there.
var csvColumns = []string{"email", "name", "aliases", "groups", "phone", "primary_login", "password"}

// readPeople reads a file of people: UTF-8 with or without BOM, or cp1252;
// fields apart by comma or semicolon, lists inside a field by "|". Lines that
// cannot be read are problems, the others come back all the same, so that every
// mistake of a file can be told at once.
func readPeople(path string) (*adminapi.NewImport, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	if info.Size() > maxCSV {
		return nil, fmt.Errorf("read people: %s is larger than 32 MiB", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	return parsePeople(text)
}

func parsePeople(text []byte) (*adminapi.NewImport, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		// Every byte means something in cp1252, so this cannot fail; what Excel
		// saves as "CSV" in western Europe is cp1252.
		var err error
		if text, err = charmap.Windows1252.NewDecoder().Bytes(text); err != nil {
			return nil, fmt.Errorf("read people: %w", err)
		}
	}
	r := csv.NewReader(bytes.NewReader(text))
	header, _, _ := bytes.Cut(text, []byte("\n"))
	if bytes.Count(header, []byte(";")) > bytes.Count(header, []byte(",")) {
		r.Comma = ';'
	}
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true

	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("read people: the header is missing: want %s", strings.Join(csvColumns, ","))
	}
	columns, err := columnsOf(names)
	if err != nil {
		return nil, err
	}
	f := &adminapi.NewImport{Columns: slices.Sorted(maps.Keys(columns)), Rows: []adminapi.ImportRow{}}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if pe, ok := errors.AsType[*csv.ParseError](err); ok {
			f.Problems = append(f.Problems, adminapi.LineProblem{Line: pe.StartLine, Text: "the quotes do not match"})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read people: %w", err)
		}
		line, _ := r.FieldPos(0)
		if !slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" }) {
			continue // spreadsheets leave rows of bare separators at the end
		}
		if len(fields) != len(names) {
			f.Problems = append(f.Problems, adminapi.LineProblem{Line: line, Text: fmt.Sprintf("%d fields, want the %d of the header", len(fields), len(names))})
			continue
		}
		f.Rows = append(f.Rows, importRow(line, columns, fields))
	}
}

// columnsOf maps column names to places.
func columnsOf(names []string) (map[string]int, error) {
	columns := map[string]int{}
	for i, n := range names {
		n = strings.ToLower(strings.TrimSpace(n))
		if !slices.Contains(csvColumns, n) {
			return nil, fmt.Errorf("read people: line 1: %q is no column; allowed: %s", n, strings.Join(csvColumns, ", "))
		}
		if _, twice := columns[n]; twice {
			return nil, fmt.Errorf("read people: line 1: the column %s stands there twice", n)
		}
		columns[n] = i
	}
	if _, ok := columns["email"]; !ok {
		return nil, errors.New("read people: line 1: the column email is missing")
	}
	return columns, nil
}

func importRow(line int, columns map[string]int, fields []string) adminapi.ImportRow {
	get := func(name string) string {
		if i, ok := columns[name]; ok {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	list := func(name string) []string {
		var out []string
		for item := range strings.SplitSeq(get(name), "|") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
		return out
	}
	row := adminapi.ImportRow{
		Line: line, Email: get("email"), Name: get("name"), Aliases: list("aliases"), Groups: list("groups"),
		Phone: get("phone"), PrimaryLogin: get("primary_login"),
	}
	if i, ok := columns["password"]; ok {
		row.Password = fields[i] // blanks may belong to it
	}
	return row
}
