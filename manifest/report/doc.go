// Package report defines what a site tells its central team on a stick: a small file, signed with the site's own key.
//
// It promises that what Parse returns is bounded, of one meaning, fit to be printed, and signed with the key that it returns. Whose key that is,
// the centre decides: it accepts a key on first sight, after comparing its fingerprint. A report names no patient, no setting, and repeats
// no text of a service: results, steps and classes of failures only.
//
// # The file
//
// dhow-report-SITE.json, at most MaxSize bytes:
//
//	{
//	  "format": 1,
//	  "key": "ed25519:BASE64",
//	  "signature": "BASE64",
//	  "report": {"number": 7, "fleet": "drc-emr", "site": "kin-001", …}
//	}
//
// The signature is of Ed25519, over the line "dhow-report 1\n" and the bytes of the member "report" without the white space between its tokens
// (json.Compact): indenting the file does not break it, changing anything else does. No key may stand twice anywhere. A file with a
// higher format is refused; members that are not known are passed over.
package report
