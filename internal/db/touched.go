package db

import "relais/internal/mail"

// Touched collects what a transaction changed, so that watchers can be told
// once it is durable. The zero value is empty. Not safe for concurrent use: it
// belongs to one run of one transaction.
type Touched struct {
	accounts []mail.AccountID
	topics   []string
}

// Account notes that the account has a new change.
func (t *Touched) Account(id mail.AccountID) {
	for _, have := range t.accounts {
		if have == id {
			return
		}
	}
	t.accounts = append(t.accounts, id)
}

// Topic notes that something of this kind waits to be done ("queue", "duty",
// "job", "continuity").
func (t *Touched) Topic(name string) {
	for _, have := range t.topics {
		if have == name {
			return
		}
	}
	t.topics = append(t.topics, name)
}

// Accounts lists the accounts noted, each once.
func (t *Touched) Accounts() []mail.AccountID { return t.accounts }

// Topics lists the topics noted, each once.
func (t *Touched) Topics() []string { return t.topics }
