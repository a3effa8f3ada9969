package bundle

import (
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Names in the layout. All are slash-separated.
const (
	OCILayoutPath      = "oci-layout"
	IndexPath          = "index.json"
	DockerManifestPath = "manifest.json"
	HintPath           = "bundle.json"
	MetadataDir        = "metadata"
	TargetsDir         = "targets"
	BlobsDir           = "blobs/sha256"
	TimestampPath      = MetadataDir + "/timestamp.json"
)

// Names in an OCI repository.
const (
	ManifestTag          = "manifest"                         // the artifact with the documents that are asked for by name
	DocumentsTag         = "documents"                        // the artifact with those that are asked for by their digest
	ManifestArtifactType = "application/vnd.dhow.manifest.v1" // artifactType of that artifact
	BeforeSuffix         = "-before"                          // behind ManifestTag, DocumentsTag and BlobsTag: what they were before
	ClaimTag             = "publishing"                       // who publishes at present, see bundle/pack
	ClaimArtifactType    = "application/vnd.dhow.claim.v1"    // artifactType of that claim
	FilesArtifactType    = "application/vnd.dhow.files.v1"    // artifactType of a release's files
	WaysArtifactType     = "application/vnd.dhow.ways.v1"     // artifactType of the ways to one image
	AgentArtifactType    = "application/vnd.dhow.agent.v1"    // artifactType of a version of the agent
	BlobsArtifactType    = "application/vnd.dhow.blobs.v1"    // artifactType of the list of all blobs of a release
	DocumentMediaType    = "application/vnd.dhow.document.v1" // layers of both
	FileMediaType        = "application/vnd.dhow.file.v1"     // layers of a files artifact
	DeltaMediaType       = "application/vnd.dhow.delta.v1"    // layers of ways: bundle/delta
	FullMediaType        = "application/vnd.oci.image.layer.v1.tar+zstd"
	TitleAnnotation      = "org.opencontainers.image.title"    // a layer's path
	EmptyMediaType       = "application/vnd.oci.empty.v1+json" // config of an artifact
	OCIManifestMediaType = "application/vnd.oci.image.manifest.v1+json"
	OCIIndexMediaType    = "application/vnd.oci.image.index.v1+json"
)

// ReleaseTag is the tag of a release in an OCI repository. Tags have no "+", so build metadata is set off by "_".
func ReleaseTag(version string) string { return "release-" + strings.ReplaceAll(version, "+", "_") }

// BlobsTag is the tag of the artifact that names all blobs of a release and of the ways to it.
func BlobsTag(version string) string { return "blobs-" + strings.ReplaceAll(version, "+", "_") }

// WaysTag is the tag of the ways to a release in an OCI repository.
func WaysTag(version string) string { return "ways-" + strings.ReplaceAll(version, "+", "_") }

// AgentTag is the tag of the artifact that names all blobs of a version of the agent.
func AgentTag(version string) string { return "agent-" + strings.ReplaceAll(version, "+", "_") }

// BlobPath is where a blob stands in the layout, or "" when d is not a well-formed SHA-256 digest.
func BlobPath(d digest.Digest) string {
	if !IsDigest(d) {
		return ""
	}
	return BlobsDir + "/" + d.Encoded()
}

// RootPath is where root number n stands in the layout.
func RootPath(n int64) string { return MetadataDir + "/" + strconv.FormatInt(n, 10) + ".root.json" }

// IsDigest reports whether d is a well-formed SHA-256 digest, the only kind that Dhow uses.
func IsDigest(d digest.Digest) bool {
	return d.Validate() == nil && d.Algorithm() == digest.SHA256
}

// IsDocument reports whether p names a document of the layout: a clean, local, slash-separated path that is not a blob's.
func IsDocument(p string) bool {
	switch p {
	case OCILayoutPath, IndexPath, DockerManifestPath, HintPath:
		return true
	}
	if !IsLocal(p) {
		return false
	}
	return strings.HasPrefix(p, MetadataDir+"/") || strings.HasPrefix(p, TargetsDir+"/")
}

// DocumentDigest returns the digest that stands in a document's path (targets/…/<sha256>.name), and false for a path without one.
func DocumentDigest(p string) (digest.Digest, bool) {
	dir, name := path.Split(p)
	sum, _, found := strings.Cut(name, ".")
	d := digest.NewDigestFromEncoded(digest.SHA256, sum)
	return d, found && strings.HasPrefix(dir, TargetsDir+"/") && IsDocument(p) && IsDigest(d)
}

// BlobOf returns the digest that a path of the layout names, and false for any other path.
func BlobOf(p string) (digest.Digest, bool) {
	dir, name := path.Split(p)
	if dir != BlobsDir+"/" {
		return "", false
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, name)
	return d, IsDigest(d)
}

// IsLocal reports whether p is a clean slash-separated path that stays in its folder on every operating system.
func IsLocal(p string) bool {
	return p != "." && p == path.Clean(p) && filepath.IsLocal(filepath.FromSlash(p)) && !strings.ContainsAny(p, "\\:\x00")
}
