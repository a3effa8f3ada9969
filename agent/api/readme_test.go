package api

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// The table in README is what people read; Codes is what programs do.
func TestReadmeHoldsTheExitCodes(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| *(\d+) *\| *(.*?) *\|$`).FindAllStringSubmatch(string(data), -1)
	if len(rows) != len(Codes) {
		t.Fatalf("README has %d rows of exit codes, want %d", len(rows), len(Codes))
	}
	for i, row := range rows {
		if code, err := strconv.Atoi(row[1]); err != nil || code != Codes[i].Code || row[2] != Codes[i].Meaning {
			t.Errorf("README says | %s | %s |, want | %d | %s |", row[1], row[2], Codes[i].Code, Codes[i].Meaning)
		}
	}
}

func TestCodesAreInOrder(t *testing.T) {
	for i, c := range Codes {
		if c.Code != i || c.Meaning == "" {
			t.Errorf("row %d is %d %q", i, c.Code, c.Meaning)
		}
	}
}
