package imapd

import (
	"context"
	"strings"

	"relais/internal/imap"
	"relais/internal/mail"
	"relais/internal/mailbox"
	"relais/internal/record"
)

// create is CREATE (RFC 3501 §6.3.3), with USE a special use (RFC 6154 §3).
func (c *conn) create(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	name := c.dec.Mailbox()
	var uses []string
	if c.dec.Accept(' ') {
		c.dec.List(func() {
			if c.dec.Command() != "USE" {
				c.dec.Want("USE")
				return
			}
			c.dec.SP()
			uses = c.dec.Flags()
		})
	}
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	var role mail.Role
	for _, use := range uses {
		if r := mail.RoleOf(use); r != "" && role == "" && r != mail.All {
			role = r
		} else {
			return imap.Status{}, no(imap.CodeUseAttr, "that special use can't be given")
		}
	}
	// The separator at the end says that there will be children; all may have (RFC 3501 §6.3.3).
	name = strings.TrimSuffix(name, mailbox.Separator)
	var box mailbox.Mailbox
	err := c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		tx.As(c.person.Email)
		if role != "" {
			if _, err := tx.Mailbox.MailboxByRole(ctx, c.person.Account, role); err == nil {
				return no(imap.CodeUseAttr, "another mailbox has that special use")
			}
		}
		box, err = tx.Mailbox.CreateMailbox(ctx, mailbox.NewMailbox{Account: c.person.Account, Name: name, Role: role, Origin: mail.ByPerson})
		return err
	})
	return imap.Status{Code: imap.MakeCode(imap.CodeMailboxID, "("+mailboxID(box.ID)+")"), Text: "made"}, err
}

// withBox runs f in a transaction on the mailbox that the command names.
func (c *conn) withBox(ctx context.Context, name string, f func(ctx context.Context, tx *mailbox.Tx, box mailbox.Mailbox) error) error {
	return c.server.record.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		tx.As(c.person.Email)
		box, err := tx.Mailbox.MailboxByName(ctx, c.person.Account, name)
		if err != nil {
			return err
		}
		return f(ctx, tx.Mailbox, box)
	})
}

// remove is DELETE. A mailbox with children must lose them first: a tree does
// not go by one command (RFC 3501 §6.3.4 lets the server choose).
func (c *conn) remove(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	name := c.dec.Mailbox()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	var gone mail.MailboxID
	err := c.withBox(ctx, name, func(ctx context.Context, tx *mailbox.Tx, box mailbox.Mailbox) error {
		all, err := tx.Mailboxes(ctx, c.person.Account)
		if err != nil {
			return err
		}
		for _, b := range all {
			if strings.HasPrefix(b.Name, box.Name+mailbox.Separator) {
				return no(imap.CodeHasChildren, "the mailbox has children")
			}
		}
		gone = box.ID
		return tx.DeleteMailbox(ctx, box.ID, mail.ByPerson)
	})
	if err == nil && c.box != nil && c.box.box == gone {
		c.unselect()
	}
	return imap.Status{}, err
}

// rename is RENAME. Renaming INBOX moves its messages to a new mailbox (RFC 3501 §6.3.5).
func (c *conn) rename(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	from := c.dec.Mailbox()
	c.dec.SP()
	to := strings.TrimSuffix(c.dec.Mailbox(), mailbox.Separator)
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	return imap.Status{}, c.withBox(ctx, from, func(ctx context.Context, tx *mailbox.Tx, box mailbox.Mailbox) error {
		if box.Role != mail.Inbox {
			_, err := tx.RenameMailbox(ctx, box.ID, to, mail.ByPerson)
			return err
		}
		target, err := tx.CreateMailbox(ctx, mailbox.NewMailbox{Account: box.Account, Name: to, Origin: mail.ByPerson})
		if err != nil {
			return err
		}
		return tx.Placements(ctx, box.ID, 1, 0, func(p mailbox.Placement) error {
			_, err := tx.Move(ctx, p.ID, target.ID, mail.ByPerson)
			return err
		})
	})
}

// subscribe is SUBSCRIBE and UNSUBSCRIBE.
func (c *conn) subscribe(ctx context.Context, r *request) (imap.Status, error) {
	c.dec.SP()
	name := c.dec.Mailbox()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	return imap.Status{}, c.withBox(ctx, name, func(ctx context.Context, tx *mailbox.Tx, box mailbox.Mailbox) error {
		_, err := tx.SetSubscribed(ctx, box.ID, r.name == "SUBSCRIBE", mail.ByPerson)
		return err
	})
}

// status is STATUS (RFC 3501 §6.3.10, RFC 7162 §3.1.7, RFC 8438, RFC 8474 §4.3, RFC 7889).
func (c *conn) status(ctx context.Context, _ *request) (imap.Status, error) {
	c.dec.SP()
	name := c.dec.Mailbox()
	c.dec.SP()
	items := c.dec.StatusItems()
	if err := c.end(); err != nil {
		return imap.Status{}, err
	}
	if err := checkStatusItems(items); err != nil {
		return imap.Status{}, err
	}
	var box mailbox.Mailbox
	err := c.server.record.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		box, err = tx.Mailbox.MailboxByName(ctx, c.person.Account, name)
		return err
	})
	if err == nil {
		c.tellStatus(&box, items)
	}
	return imap.Status{}, err
}

func checkStatusItems(items []imap.StatusItem) error {
	for _, item := range items {
		switch item {
		case imap.StatusMessages, imap.StatusRecent, imap.StatusUIDNext, imap.StatusUIDValidity, imap.StatusUnseen,
			imap.StatusSize, imap.StatusHighestModSeq, imap.StatusMailboxID, imap.StatusAppendLimit:
		default:
			return bad("unknown STATUS item")
		}
	}
	return nil
}

func (c *conn) tellStatus(box *mailbox.Mailbox, items []imap.StatusItem) {
	data := imap.StatusData{Mailbox: box.Name}
	add := func(item imap.StatusItem, n uint64) {
		data.Values = append(data.Values, imap.StatusValue{Item: item, N: n})
	}
	for _, item := range items {
		switch item {
		case imap.StatusMessages:
			add(item, uint64(box.Messages))
		case imap.StatusRecent:
			add(item, 0)
		case imap.StatusUIDNext:
			add(item, uint64(box.UIDNext))
		case imap.StatusUIDValidity:
			add(item, uint64(box.UIDValidity))
		case imap.StatusUnseen:
			add(item, uint64(box.Unseen))
		case imap.StatusSize:
			add(item, uint64(box.Bytes))
		case imap.StatusHighestModSeq:
			c.condstore = true // RFC 7162 §3.1
			add(item, box.Modseq)
		case imap.StatusAppendLimit:
			add(item, uint64(c.cfg.MaxMessage))
		case imap.StatusMailboxID:
			data.MailboxID = mailboxID(box.ID)
		}
	}
	c.enc.StatusData(data)
}
