package blobtest

import (
	"context"
	"sync"

	"relais/internal/blob"
	"relais/internal/fault"
	"relais/internal/mail"
)

// Name is what addresses a body.
type Name struct {
	Tenant mail.TenantID
	Hash   mail.Hash
}

// Rows is the table of places that a real record keeps in SQL. The zero value is ready.
type Rows struct {
	mu   sync.Mutex
	refs map[Name]blob.Ref
}

// Set commits a row.
func (r *Rows) Set(tenant mail.TenantID, hash mail.Hash, ref blob.Ref) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refs == nil {
		r.refs = map[Name]blob.Ref{}
	}
	r.refs[Name{tenant, hash}] = ref
}

// Delete removes a row.
func (r *Rows) Delete(tenant mail.TenantID, hash mail.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.refs, Name{tenant, hash})
}

// All is a copy of the rows.
func (r *Rows) All() map[Name]blob.Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[Name]blob.Ref, len(r.refs))
	for n, ref := range r.refs {
		all[n] = ref
	}
	return all
}

// Locate is a blob.Locate.
func (r *Rows) Locate(_ context.Context, tenant mail.TenantID, hash mail.Hash) (blob.Ref, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ref, ok := r.refs[Name{tenant, hash}]; ok {
		return ref, nil
	}
	return blob.Ref{}, fault.New(fault.NotFound, "no row for %v", hash)
}

// Live is for blob.Store's Compact: does the row point at this very record?
func (r *Rows) Live(rec blob.Record) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref, ok := r.refs[Name{rec.Tenant, rec.Hash}]
	return ok && ref == rec.Ref, nil
}

// Move is for blob.Store's Compact: rows that still name the old place get the new.
func (r *Rows) Move(moved []blob.Moved) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range moved {
		n := Name{m.Tenant, m.Hash}
		if r.refs[n] == m.From {
			r.refs[n] = m.To
		}
	}
	return nil
}
