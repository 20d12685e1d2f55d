// Package traffic makes the mail of a company: people, years of history, live messages in both directions, and a
// book of what every mailbox must hold. The same seed makes the same company and the same messages.
package traffic

import (
	"fmt"
	"strings"
)

// Person is an employee with a mailbox.
type Person struct {
	Name     string
	Email    string // also the sign-in name
	Password string
	French   bool
}

// Company is who the mail is for.
type Company struct {
	Domain  string
	Staff   []Person
	Outside []Person // customers and suppliers, at domains of their own
}

var staff = []string{
	"Amélie Dupont", "Bruno Lefèvre", "Chloé Martin", "Daniel O'Brien", "Élodie Garçon", "François Noël", "Grace Whitfield", "Hugo Bernard",
	"Inès Benali", "Jean-Marc Petit", "Katie Marsh", "Loïc Le Gall", "Marguerite Faure", "Nadia Haddad", "Oliver Stone", "Pauline Roux",
	"Quentin Moreau", "Rosa Pereira", "Sébastien Girard", "Tess Underwood",
}

var outside = []struct{ name, domain string }{
	{"Claire Fontaine", "fontaine-pneus.test"}, {"Markus Vogel", "vogel-maschinen.test"}, {"Sophie Lambert", "mairie-valmont.test"},
	{"John Carter", "carterfreight.test"}, {"Yves Gauthier", "gauthier-notaires.test"}, {"Emily Clarke", "northbridge.test"},
	{"Ahmed El Fassi", "atlas-import.test"}, {"Lucie Blanc", "imprimerie-blanc.test"}, {"Peter Novak", "novak-tools.test"},
	{"Service clients", "energie-sud.test"},
}

// NewCompany makes a company of n people (at most 20) at a domain.
func NewCompany(domain string, n int) Company {
	c := Company{Domain: domain}
	for i, name := range staff[:min(n, len(staff))] {
		email := strings.ToLower(ascii(strings.ReplaceAll(strings.ReplaceAll(name, "'", ""), " ", "."))) + "@" + domain
		c.Staff = append(c.Staff, Person{name, email, fmt.Sprintf("relais-%02d-poste", i), i%3 != 2})
	}
	for i, o := range outside {
		local := strings.ToLower(ascii(strings.ReplaceAll(o.name, " ", ".")))
		c.Outside = append(c.Outside, Person{Name: o.name, Email: local + "@" + o.domain, French: i%2 == 0})
	}
	return c
}

var accents = strings.NewReplacer("é", "e", "è", "e", "ê", "e", "É", "E", "ë", "e", "ç", "c", "ï", "i", "î", "i", "ô", "o", "à", "a", "û", "u")

func ascii(s string) string { return accents.Replace(s) }
