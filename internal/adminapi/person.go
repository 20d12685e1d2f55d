package adminapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"relais/internal/directory"
	"relais/internal/mail"
	"relais/internal/record"
)

// Person is somebody with a mailbox.
type Person struct {
	Email        string    `json:"email"`
	Name         string    `json:"name"`
	Org          string    `json:"org"`
	Aliases      []string  `json:"aliases"`
	Groups       []string  `json:"groups"`
	Phone        string    `json:"phone,omitempty"`
	PrimaryLogin string    `json:"primary_login,omitempty"`
	Created      time.Time `json:"created"`
}

// People is a list of them.
type People struct {
	People []Person `json:"people"`
}

// NewPassword sets a password; empty lets Relais make one.
type NewPassword struct {
	Password string `json:"password,omitempty" maxLength:"1000"`
}

// Password is a password that was set: shown this once, when Relais made it.
type Password struct {
	Email    string `json:"email"`
	Password string `json:"password,omitempty"`
}

// AppPassword is a password of one program or device.
type AppPassword struct {
	ID       int64     `json:"id"`
	Email    string    `json:"email"`
	Label    string    `json:"label"`
	Password string    `json:"password,omitempty" doc:"shown once, when it is made"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// NewAppPassword is what makes one.
type NewAppPassword struct {
	Label string `json:"label" minLength:"1" maxLength:"100"`
}

// AppPasswords is a list of them.
type AppPasswords struct {
	AppPasswords []AppPassword `json:"app_passwords"`
}

func (a *API) personRoutes() {
	handle(a, http.MethodGet, "/people", "list-people", "List the people", a.listPeople)
	handle(a, http.MethodGet, "/people/{email}", "get-person", "Show a person", a.getPerson)
	handle(a, http.MethodDelete, "/people/{email}", "remove-person", "Remove a person; the mail is kept", a.removePerson)
	handle(a, http.MethodPost, "/people/{email}/password", "set-password", "Set a person's password", a.setPassword)
	handle(a, http.MethodGet, "/people/{email}/app-passwords", "list-app-passwords", "List a person's app passwords", a.listAppPasswords)
	handle(a, http.MethodPost, "/people/{email}/app-passwords", "add-app-password", "Make an app password", a.addAppPassword)
	handle(a, http.MethodDelete, "/people/{email}/app-passwords/{id}", "remove-app-password", "Revoke an app password", a.removeAppPassword)
}

// PersonPath names a person in a request.
type PersonPath struct {
	Email string `path:"email"`
}

// personOf reads what is shown of a person.
func personOf(ctx context.Context, tx *record.Tx, p directory.Person) (Person, error) {
	t, err := tx.Directory.TenantByID(ctx, p.Tenant)
	if err != nil {
		return Person{}, err
	}
	out := Person{Email: p.Email, Name: p.Name, Org: t.Slug, Aliases: []string{}, Groups: []string{},
		Phone: p.Phone, PrimaryLogin: p.PrimaryLogin, Created: p.CreatedAt}
	own, err := tx.Directory.OwnAddresses(ctx, p.ID)
	if err != nil {
		return out, err
	}
	for _, a := range own {
		if a != p.Email {
			out.Aliases = append(out.Aliases, a)
		}
	}
	groups, err := tx.Directory.GroupsOf(ctx, p.ID)
	for _, g := range groups {
		out.Groups = append(out.Groups, g.Address)
	}
	return out, err
}

func (a *API) listPeople(ctx context.Context, in *struct {
	Org string `query:"org" doc:"of this organisation alone"`
}) (*body[People], error) {
	out := &body[People]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body.People = []Person{}
		var tenant mail.TenantID
		if in.Org != "" {
			t, err := tx.Directory.Tenant(ctx, in.Org)
			if err != nil {
				return err
			}
			tenant = t.ID
		}
		people, err := tx.Directory.People(ctx, tenant)
		if err != nil {
			return err
		}
		for _, p := range people {
			shown, err := personOf(ctx, tx, p)
			if err != nil {
				return err
			}
			out.Body.People = append(out.Body.People, shown)
		}
		return nil
	})
}

func (a *API) getPerson(ctx context.Context, in *PersonPath) (*body[Person], error) {
	out := &body[Person]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		p, err := tx.Directory.PersonByEmail(ctx, in.Email)
		if err != nil {
			return err
		}
		out.Body, err = personOf(ctx, tx, p)
		return err
	})
}

func (a *API) removePerson(ctx context.Context, in *PersonPath) (*none, error) {
	return nil, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		p, err := tx.Directory.PersonByEmail(ctx, in.Email)
		if err != nil {
			return err
		}
		if err := tx.Directory.RemovePerson(ctx, p.ID); err != nil {
			return err
		}
		tx.Signal(record.TopicDirectory)
		return note(ctx, tx, p.Tenant, "person.remove", p.Email, nil)
	})
}

func (a *API) setPassword(ctx context.Context, in *struct {
	PersonPath
	Body NewPassword
}) (*body[Password], error) {
	password := in.Body.Password
	out := &body[Password]{}
	if password == "" {
		password = rand.Text()
		out.Body.Password = password
	}
	verifier, err := directory.HashPassphrase(password)
	if err != nil {
		return nil, err
	}
	return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		p, err := tx.Directory.PersonByEmail(ctx, in.Email)
		if err != nil {
			return err
		}
		out.Body.Email = p.Email
		_, err = tx.Directory.AddCredential(ctx, directory.NewCredential{Person: p.ID, Kind: directory.Passphrase, Verifier: verifier})
		if err != nil {
			return err
		}
		return note(ctx, tx, p.Tenant, "person.password", p.Email, nil)
	})
}

func (a *API) listAppPasswords(ctx context.Context, in *PersonPath) (*body[AppPasswords], error) {
	out := &body[AppPasswords]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body.AppPasswords = []AppPassword{}
		p, err := tx.Directory.PersonByEmail(ctx, in.Email)
		if err != nil {
			return err
		}
		credentials, err := tx.Directory.Credentials(ctx, p.ID)
		for _, c := range credentials {
			if c.Kind == directory.AppPassword {
				out.Body.AppPasswords = append(out.Body.AppPasswords, AppPassword{ID: c.ID, Email: p.Email, Label: c.Label, Created: c.CreatedAt, LastUsed: c.LastUsedAt})
			}
		}
		return err
	})
}

func (a *API) addAppPassword(ctx context.Context, in *struct {
	PersonPath
	Body NewAppPassword
}) (*body[AppPassword], error) {
	secret, c := directory.MakeAppPassword()
	c.Label = in.Body.Label
	out := &body[AppPassword]{}
	return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		p, err := tx.Directory.PersonByEmail(ctx, in.Email)
		if err != nil {
			return err
		}
		c.Person = p.ID
		made, err := tx.Directory.AddCredential(ctx, c)
		if err != nil {
			return err
		}
		out.Body = AppPassword{ID: made.ID, Email: p.Email, Label: made.Label, Password: secret, Created: made.CreatedAt}
		return note(ctx, tx, p.Tenant, "person.app-password", p.Email, in.Body)
	})
}

func (a *API) removeAppPassword(ctx context.Context, in *struct {
	PersonPath
	ID int64 `path:"id"`
}) (*none, error) {
	return nil, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		p, err := tx.Directory.PersonByEmail(ctx, in.Email)
		if err != nil {
			return err
		}
		if err := tx.Directory.Revoke(ctx, p.ID, in.ID); err != nil {
			return err
		}
		return note(ctx, tx, p.Tenant, "person.app-password-revoke", p.Email, in.ID)
	})
}
