// Package internal holds the rooms of Relais; this test holds the order in which they may import one another.
package internal

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers lists the rooms from the bottom up. A room imports rooms of lower
// layers; within one layer only those to its left. Modules never import each other.
var layers = []struct {
	name  string
	rooms []string
	apart bool // no room of the layer imports another of it
}{
	{name: "words", rooms: []string{"mail", "fault", "clock", "crashpoint"}},
	{name: "mechanisms", rooms: []string{
		"mime", "imap", "smtp", "dns", "dkim", "db", "job", "keys", "blob", "audit", "config", "tlsfiles", "admit", "dialogtest", "db/migrate", "db/sqlite", "db/postgres",
	}},
	{name: "record", rooms: []string{"directory", "mailbox", "duty", "link"}},
	{name: "modules", rooms: []string{"judge", "outbound", "continuity"}, apart: true},
	{name: "assembly", rooms: []string{"record", "intake", "mirror", "reconcile"}},
	{name: "doors", rooms: []string{"smtpd", "imapd", "adminapi", "cli", "demo", "bench"}},
	{name: "far side", rooms: []string{"connector"}},
	{name: "wiring", rooms: []string{"app"}},
}

// maxLines is how long a file may be (CONTRIBUTING.md).
const maxLines = 500

// place is a room's layer and its place in it; a package below a room is where its room is.
func place(pkg string) (layer, at int, ok bool) {
	longest := -1
	for i, l := range layers {
		for j, room := range l.rooms {
			if (pkg == room || strings.HasPrefix(pkg, room+"/")) && len(room) > longest {
				layer, at, longest = i, j, len(room)
			}
		}
	}
	return layer, at, longest >= 0
}

func TestImportsGoDownTheList(t *testing.T) {
	t.Parallel()
	for pkg, files := range packages(t) {
		layer, at, ok := place(pkg)
		if !ok {
			t.Errorf("internal/%s stands in no layer: add it to the list in layers_test.go", pkg)
			continue
		}
		for _, f := range files {
			for _, imp := range f.syntax.Imports {
				path, _ := strconv.Unquote(imp.Path.Value)
				other, ours := strings.CutPrefix(path, "relais/internal/")
				if !ours || strings.HasSuffix(f.path, "_test.go") {
					continue
				}
				l, a, _ := place(other)
				sameRoom := l == layer && a == at
				if l > layer || l == layer && !sameRoom && (a > at || layers[l].apart) {
					t.Errorf("%s imports internal/%s, which is not below it (%s, %s)", f.path, other, layers[layer].name, layers[l].name)
				}
			}
		}
	}
}

func TestEachPackageSaysWhatItIsInASentence(t *testing.T) {
	t.Parallel()
	for pkg, files := range packages(t) {
		var docs []string
		name := ""
		for _, f := range files {
			if strings.HasSuffix(f.path, "_test.go") {
				continue
			}
			name = f.syntax.Name.Name
			if f.syntax.Doc != nil {
				docs = append(docs, f.syntax.Doc.Text())
			}
		}
		if name == "" {
			continue // tests alone
		}
		if len(docs) != 1 {
			t.Errorf("internal/%s has %d package comments, want 1", pkg, len(docs))
			continue
		}
		first, _, _ := strings.Cut(docs[0], "\n\n")
		if !strings.HasPrefix(first, "Package "+name+" ") || !strings.HasSuffix(strings.TrimSpace(first), ".") {
			t.Errorf("internal/%s: the package comment begins %q; want one sentence that begins %q", pkg, first, "Package "+name)
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	t.Parallel()
	for _, top := range []string{".", "../cmd", "../test"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			if n := bytes.Count(text, []byte("\n")); n > maxLines {
				t.Errorf("%s has %d lines, more than %d: split it by noun", path, n, maxLines)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

type file struct {
	path   string
	syntax *ast.File
}

// packages parses the imports and package comments of everything below internal/.
func packages(t *testing.T) map[string][]file {
	t.Helper()
	found := map[string][]file{}
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || filepath.Dir(path) == "." {
			return nil
		}
		syntax, err := parser.ParseFile(set, path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		found[pkg] = append(found[pkg], file{path, syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 || !slices.ContainsFunc(layers[len(layers)-1].rooms, func(r string) bool { return found[r] != nil }) {
		t.Fatal("no packages found: the test looks at the wrong place")
	}
	return found
}
