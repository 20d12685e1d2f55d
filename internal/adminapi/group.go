package adminapi

import (
	"context"
	"net/http"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
)

// Group is an address whose mail goes to its members.
type Group struct {
	Address string   `json:"address"`
	Name    string   `json:"name,omitempty"`
	Org     string   `json:"org"`
	Members []string `json:"members"`
}

// NewGroup is what makes or replaces one.
type NewGroup struct {
	Name    string   `json:"name,omitempty" maxLength:"200"`
	Members []string `json:"members" doc:"addresses of people of the same organisation"`
}

// Groups is a list of them.
type Groups struct {
	Groups []Group `json:"groups"`
}

func (a *API) groupRoutes() {
	handle(a, http.MethodGet, "/groups", "list-groups", "List the groups", a.listGroups)
	handle(a, http.MethodGet, "/groups/{address}", "get-group", "Show a group", a.getGroup)
	handle(a, http.MethodPut, "/groups/{address}", "set-group", "Make a group or replace its members", a.setGroup)
	handle(a, http.MethodDelete, "/groups/{address}", "remove-group", "Remove a group", a.removeGroup)
}

// GroupPath names a group in a request.
type GroupPath struct {
	Address string `path:"address"`
}

func (p GroupPath) parse() (mail.Address, error) { return parseAddress(p.Address) }

// parseAddress reads an address that must be one.
func parseAddress(s string) (mail.Address, error) {
	addr, err := mail.ParseAddress(s)
	if err != nil || addr.IsNull() {
		return addr, fault.New(fault.Invalid, "%q is no e-mail address", s)
	}
	return addr, nil
}

func groupOf(ctx context.Context, tx *record.Tx, g directory.Group) (Group, error) {
	t, err := tx.Directory.TenantByID(ctx, g.Tenant)
	if err != nil {
		return Group{}, err
	}
	members, err := tx.Directory.GroupMembers(ctx, g.ID)
	out := Group{Address: g.Address, Name: g.Name, Org: t.Slug, Members: []string{}}
	for _, m := range members {
		out.Members = append(out.Members, m.Email)
	}
	return out, err
}

func (a *API) listGroups(ctx context.Context, _ *none) (*body[Groups], error) {
	out := &body[Groups]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body.Groups = []Group{}
		groups, err := tx.Directory.Groups(ctx, 0)
		if err != nil {
			return err
		}
		for _, g := range groups {
			shown, err := groupOf(ctx, tx, g)
			if err != nil {
				return err
			}
			out.Body.Groups = append(out.Body.Groups, shown)
		}
		return nil
	})
}

func (a *API) getGroup(ctx context.Context, in *GroupPath) (*body[Group], error) {
	addr, err := in.parse()
	if err != nil {
		return nil, err
	}
	out := &body[Group]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		g, err := tx.Directory.GroupByAddress(ctx, addr)
		if err != nil {
			return err
		}
		out.Body, err = groupOf(ctx, tx, g)
		return err
	})
}

func (a *API) setGroup(ctx context.Context, in *struct {
	GroupPath
	Body NewGroup
}) (*body[Group], error) {
	addr, err := in.parse()
	if err != nil {
		return nil, err
	}
	out := &body[Group]{}
	return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		g, err := tx.Directory.GroupByAddress(ctx, addr)
		if fault.Is(err, fault.NotFound) {
			g, err = tx.Directory.CreateGroup(ctx, directory.NewGroup{Address: addr, Name: in.Body.Name})
		}
		if err != nil {
			return err
		}
		members := []mail.PersonID{}
		for _, email := range in.Body.Members {
			p, err := tx.Directory.PersonByEmail(ctx, email)
			if err != nil {
				return fault.Wrap(err, fault.CodeOf(err), "member %s: no such person", email)
			}
			members = append(members, p.ID)
		}
		if err := tx.Directory.SetMembers(ctx, g.ID, members); err != nil {
			return err
		}
		if out.Body, err = groupOf(ctx, tx, g); err != nil {
			return err
		}
		return note(ctx, tx, g.Tenant, "group.set", g.Address, in.Body)
	})
}

func (a *API) removeGroup(ctx context.Context, in *GroupPath) (*none, error) {
	addr, err := in.parse()
	if err != nil {
		return nil, err
	}
	return nil, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		g, err := tx.Directory.GroupByAddress(ctx, addr)
		if err != nil {
			return err
		}
		if err := tx.Directory.RemoveGroup(ctx, g.ID); err != nil {
			return err
		}
		return note(ctx, tx, g.Tenant, "group.remove", g.Address, nil)
	})
}
