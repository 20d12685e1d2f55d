package imapconn

import (
	"context"
	"errors"

	"relais/internal/imap"
)

// asRefusal finds the server's NO or BAD: the connection lives and nothing was done.
func asRefusal(err error) (*Error, bool) {
	e, ok := errors.AsType[*Error](err)
	return e, ok && (e.Status.Word == imap.No || e.Status.Word == imap.Bad)
}

func isRefusal(err error) bool {
	_, ok := asRefusal(err)
	return ok
}

// A Namespace is a prefix of names and what separates their levels (RFC 2342).
type Namespace struct {
	Prefix string
	Delim  byte // 0: flat
}

// Namespaces tells the personal namespaces, the default one first. Without
// NAMESPACE it is the empty prefix with the separator of the root.
func (c *Conn) Namespaces(ctx context.Context) ([]Namespace, error) {
	if c.Has(imap.CapNamespace) {
		var personal []Namespace
		_, err := c.exec(ctx, &command{name: "NAMESPACE", namespace: func(n []Namespace) { personal = n }}, nil)
		if err == nil && len(personal) > 0 {
			return personal, nil
		}
		if err != nil && !isRefusal(err) {
			return nil, err
		}
	}
	root := Namespace{}
	// LIST "" "" tells the separator alone (RFC 9051 §6.3.9).
	_, err := c.exec(ctx, &command{name: "LIST", list: func(l imap.ListData) { root.Delim = l.Delim }}, func(e *imap.Encoder) { e.Raw(` "" ""`) })
	return []Namespace{root}, err
}

// namespace is the default personal namespace; it is asked for once.
func (c *Conn) namespace(ctx context.Context) (Namespace, error) {
	c.mu.Lock()
	known := c.space
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	spaces, err := c.Namespaces(ctx)
	if err != nil {
		return Namespace{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.space = &spaces[0]
	return spaces[0], nil
}

// namespaceData reads what follows "* NAMESPACE ".
func (c *Conn) namespaceData() {
	d := c.dec
	var personal []Namespace
	for i := 0; i < 3 && d.Err() == nil; i++ {
		if i > 0 {
			d.SP()
		}
		d.NList(func() {
			var n Namespace
			field := 0
			d.List(func() {
				switch field {
				case 0:
					n.Prefix = d.Mailbox()
				case 1:
					if s := d.NString(); len(s.Value) == 1 {
						n.Delim = s.Value[0]
					}
				default:
					d.SkipValue()
				}
				field++
			})
			if i == 0 {
				personal = append(personal, n)
			}
		})
	}
	d.CRLF()
	if cmd := c.find(func(cmd *command) bool { return cmd.namespace != nil }); cmd != nil && d.Err() == nil {
		cmd.namespace(personal)
	}
}

// ID tells who we are and asks who the server is (RFC 2971); nil without ID.
func (c *Conn) ID(ctx context.Context, ours ...imap.Param) ([]imap.Param, error) {
	if !c.Has(imap.CapID) {
		return nil, nil
	}
	var theirs []imap.Param
	cmd := &command{name: "ID", id: func(list []imap.Param) { theirs = list }}
	_, err := c.exec(ctx, cmd, func(e *imap.Encoder) { e.SP().ID(ours) })
	return theirs, err
}

// idData reads what follows "* ID ".
func (c *Conn) idData() {
	list := c.dec.ID()
	c.dec.CRLF()
	if cmd := c.find(func(cmd *command) bool { return cmd.id != nil }); cmd != nil && c.dec.Err() == nil {
		cmd.id(list)
	}
}

// A Quota is a limit on one resource (RFC 9208).
type Quota struct {
	Root        string
	Resource    string // "STORAGE" counts units of 1024 bytes, "MESSAGE" messages
	Used, Limit uint64
}

// Quotas tells the limits that hold for a mailbox; none without QUOTA.
func (c *Conn) Quotas(ctx context.Context, mailbox string) ([]Quota, error) {
	if !c.Has(imap.CapQuota) {
		return nil, nil
	}
	var quotas []Quota
	cmd := &command{name: "GETQUOTAROOT", quota: func(q Quota) { quotas = append(quotas, q) }}
	_, err := c.exec(ctx, cmd, func(e *imap.Encoder) { e.SP().Mailbox(mailbox) })
	return quotas, err
}

// quotaData reads what follows "* QUOTA ".
func (c *Conn) quotaData() {
	d := c.dec
	root := d.AString()
	d.SP()
	var quotas []Quota
	d.List(func() {
		q := Quota{Root: root, Resource: d.Name()}
		d.SP()
		q.Used = d.Number64()
		d.SP()
		q.Limit = d.Number64()
		quotas = append(quotas, q)
	})
	d.CRLF()
	if cmd := c.find(func(cmd *command) bool { return cmd.quota != nil }); cmd != nil && d.Err() == nil {
		for _, q := range quotas {
			cmd.quota(q)
		}
	}
}
