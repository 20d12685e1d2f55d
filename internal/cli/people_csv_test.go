package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"

	"relais/internal/adminapi"
)

func TestPeopleInEveryEncodingAndSeparator(t *testing.T) {
	t.Parallel()
	const comma = "email,name,aliases,groups,phone,primary_login,password\n" +
		"zoé@exemple.test,\"Lefèvre, Zoé\",z.lefevre@exemple.test|zoe@exemple.test,tous@exemple.test,+33 1,zoe,pass word \n" +
		"\n" +
		"bob@exemple.test,Bob,,,,,\n" +
		",,,,,,\n"
	want := []adminapi.ImportRow{
		{Line: 2, Email: "zoé@exemple.test", Name: "Lefèvre, Zoé", Aliases: []string{"z.lefevre@exemple.test", "zoe@exemple.test"},
			Groups: []string{"tous@exemple.test"}, Phone: "+33 1", PrimaryLogin: "zoe", Password: "pass word "},
		{Line: 4, Email: "bob@exemple.test", Name: "Bob"},
	}
	cp1252, err := charmap.Windows1252.NewEncoder().String(comma)
	if err != nil {
		t.Fatal(err)
	}
	semicolon := strings.ReplaceAll(comma, ",", ";")
	for name, text := range map[string]string{
		"UTF-8": comma, "with BOM": "\ufeff" + comma, "cp1252": cp1252, "semicolons": semicolon,
		"CR LF": strings.ReplaceAll(comma, "\n", "\r\n"), "BOM, semicolons, CR LF": "\ufeff" + strings.ReplaceAll(semicolon, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := parsePeople([]byte(text))
			if err != nil || len(f.Problems) > 0 {
				t.Fatalf("%+v, %v", f, err)
			}
			for i := range f.Rows {
				f.Rows[i].Name = strings.ReplaceAll(f.Rows[i].Name, ";", ",") // the blanket replacement above
			}
			if diff := cmp.Diff(want, f.Rows); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryBrokenLineIsNamed(t *testing.T) {
	t.Parallel()
	f, err := parsePeople([]byte("name,email\nAnn,ann@exemple.test\nBob\nZo\"é,zoe@exemple.test\nEve,eve@exemple.test,more\nDan,dan@exemple.test\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []adminapi.LineProblem{
		{Line: 3, Text: "1 fields, want the 2 of the header"},
		{Line: 4, Text: "the quotes do not match"},
		{Line: 5, Text: "3 fields, want the 2 of the header"},
	}
	if diff := cmp.Diff(want, f.Problems); diff != "" {
		t.Error(diff)
	}
	if len(f.Rows) != 2 || f.Rows[1].Line != 6 || f.Rows[1].Email != "dan@exemple.test" {
		t.Errorf("the good lines: %+v", f.Rows)
	}
}

func TestHeaderErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "the header is missing",
		"email,nom\n":            `"nom" is no column; allowed: email, name`,
		"name,password\n":        "the column email is missing",
		"email,name,email\n":     "the column email stands there twice",
		"ann@exemple.test,Ann\n": `"ann@exemple.test" is no column`,
	} {
		if _, err := parsePeople([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
