package blob_test

import (
	"testing"

	"relais/internal/blob"
	"relais/internal/blob/blobtest"
)

func TestPacksKeepTheContract(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Maker {
		dir := t.TempDir()
		return func(keys blob.Keys, locate blob.Locate) (blob.Store, error) {
			return blob.Open(t.Context(), blob.Config{Dir: dir, Keys: keys, Locate: locate, Rotate: 64 << 10})
		}
	})
}
