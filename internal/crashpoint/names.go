package crashpoint

// The points, by room. Each stands in the table below with its meaning.
const (
	BlobBeforeWrite Point = "blob.before-write"
	BlobAfterWrite  Point = "blob.after-write"
	BlobAfterSync   Point = "blob.after-sync"

	BlobCompactCopied Point = "blob.compact-copied"
	BlobCompactMoved  Point = "blob.compact-moved"

	DBBeforeCommit Point = "db.before-commit"
	DBAfterCommit  Point = "db.after-commit"

	FileBeforeBody Point = "file.before-body"
	FileAfterBody  Point = "file.after-body"
	FileAfterRows  Point = "file.after-rows"
)

// Description is a point and what a crash there leaves behind.
type Description struct {
	Point   Point
	Meaning string
}

var declared = []Description{
	{BlobBeforeWrite, "a group of bodies is gathered, no byte of it is in the pack"},
	{BlobAfterWrite, "a group of bodies is written to the pack, not synced"},
	{BlobAfterSync, "a group of bodies is synced, no caller has heard of it"},
	{BlobCompactCopied, "live records of a pack are copied and synced, their rows still name the old pack"},
	{BlobCompactMoved, "the rows name the copies, the old pack still exists"},
	{DBBeforeCommit, "the statements of a group ran, none is durable"},
	{DBAfterCommit, "a group of transactions is durable, no caller has heard of it"},
	{FileBeforeBody, "a message is accepted whole, nothing of it is stored"},
	{FileAfterBody, "a message's body is stored, no row names it"},
	{FileAfterRows, "a message is filed, its sender has heard nothing"},
}

// Descriptions lists every point with its meaning, in the order of the table.
func Descriptions() []Description { return append([]Description(nil), declared...) }

// Names lists every point, in the order of the table.
func Names() []string {
	names := make([]string, len(declared))
	for i, d := range declared {
		names[i] = string(d.Point)
	}
	return names
}
