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

	OutboundClaimed   Point = "outbound.claimed"
	OutboundAfterSend Point = "outbound.after-send"

	FileBeforeBody Point = "file.before-body"
	FileAfterBody  Point = "file.after-body"
	FileAfterRows  Point = "file.after-rows"

	MirrorAppendIntended Point = "mirror.append-intended"
	MirrorAppendSent     Point = "mirror.append-sent"
	MirrorAppendLinked   Point = "mirror.append-linked"
	MirrorSettled        Point = "mirror.settled"

	RelaySent  Point = "relay.sent"
	RelayNoted Point = "relay.noted"
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
	{OutboundClaimed, "messages to the outside are claimed, none is sent"},
	{OutboundAfterSend, "the next host has answered, the answer is not recorded"},
	{FileBeforeBody, "a message is accepted whole, nothing of it is stored"},
	{FileAfterBody, "a message's body is stored, no row names it"},
	{FileAfterRows, "a message is filed, its sender has heard nothing"},
	{MirrorAppendIntended, "an append is intended, the primary has heard nothing of it"},
	{MirrorAppendSent, "the primary has taken an append, no link names it"},
	{MirrorAppendLinked, "an append is linked, the pass that made it is not finished"},
	{MirrorSettled, "outcomes of a pass are in the record, its tokens are not saved"},
	{RelaySent, "the primary has answered a relayed message, its duty is still claimed"},
	{RelayNoted, "the primary's answer to a relayed message is noted"},
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
