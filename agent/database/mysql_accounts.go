package database

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// systemAccounts belong to the server, or to the health check of the official image, whose password lies in the data folder.
var systemAccounts = map[string]bool{
	"mysql.sys": true, "mysql.session": true, "mysql.infoschema": true, "mariadb.sys": true, "mysql": true, "healthcheck": true,
}

// defaultRole finds the part of MySQL's SHOW CREATE USER that needs the role to be granted.
var defaultRole = regexp.MustCompile(`(?s)^CREATE USER (.+?)( IDENTIFIED .*?)? DEFAULT ROLE (.+?) REQUIRE (.*)$`)

// onPart finds privileges on a table or a routine, which must be there when they are given.
var onPart = regexp.MustCompile("(?s)^(?:GRANT|REVOKE) .* ON (?:PROCEDURE|FUNCTION|PACKAGE|PACKAGE BODY|TABLE|`(?:[^`]|``)*`\\.`)")

// accounts returns two scripts: one that makes the accounts and roles with what they may do everywhere or in whole databases, and one
// with what needs tables and routines to be there. What an account has on the server that loads them is taken away.
func (c *session) accounts(ctx context.Context) (create, grant string, err error) {
	version, err := c.version(ctx)
	if err != nil {
		return "", "", err
	}
	role, show := "'N'", "show create user %s"
	if c.mariadb {
		role = "is_role"
	}
	// Older servers make an account with its first GRANT, which holds the hash of its password.
	implicit := c.mariadb && before(version, 10, 2) || !c.mariadb && before(version, 5, 7)
	rows, err := c.rows(ctx, "select hex(user), hex(host), "+role+" from mysql.user order by 3 desc, 1, 2", 3)
	if err != nil {
		return "", "", err
	}
	create = "-- Accounts, by Dhow\nSET SESSION sql_mode = '';\n"
	var accounts, everybody []string
	for _, row := range rows {
		user, err := unhex(row[0])
		if err != nil {
			return "", "", c.strange(err)
		}
		host, err := unhex(row[1])
		if err != nil {
			return "", "", c.strange(err)
		}
		account := text(user) + "@" + text(host)
		switch {
		case user == c.server.User || systemAccounts[user]:
			continue
		case row[2] == "Y" && strings.EqualFold(user, "public"):
			account = "PUBLIC"
		case row[2] == "Y":
			account = text(user)
			create += "CREATE OR REPLACE ROLE " + account + ";\n"
		case implicit:
			create += "GRANT USAGE ON *.* TO " + account + ";\nDROP USER " + account + ";\n"
		default:
			create += "DROP USER IF EXISTS " + account + ";\n"
			accounts = append(accounts, account)
		}
		everybody = append(everybody, account)
	}
	if !c.mariadb { // a comment that servers from 8.0.17 on carry out: they print hashes as they are, and not every byte is text
		show = "/*!80017 set session print_identified_with_as_hex = 1 */; " + show
	}
	made, err := c.lines(ctx, show, accounts)
	if err != nil {
		return "", "", err
	}
	grants, err := c.lines(ctx, "show grants for %s", everybody)
	if err != nil {
		return "", "", err
	}
	grant = "\n-- Privileges, by Dhow\nSET SESSION sql_mode = '';\n"
	defaults := ""
	for _, line := range made {
		if found := defaultRole.FindStringSubmatch(line); found != nil {
			line = "CREATE USER " + found[1] + found[2] + " REQUIRE " + found[4]
			defaults += "ALTER USER " + found[1] + " DEFAULT ROLE " + found[3] + ";\n"
		}
		create += line + ";\n"
	}
	for _, line := range grants {
		switch {
		case strings.HasPrefix(line, "SET DEFAULT ROLE "): // the role must have been granted
			defaults += line + ";\n"
		case onPart.MatchString(line):
			grant += line + ";\n"
		default: // whose a view is must have a right to what it shows when another view is made of it
			create += line + ";\n"
		}
	}
	settings, err := c.persisted(ctx, version)
	return create, grant + defaults + settings, err
}

// persisted writes the settings that MySQL keeps over a restart.
func (c *session) persisted(ctx context.Context, version string) (script string, err error) {
	if c.mariadb || before(version, 8, 0) {
		return "", nil
	}
	rows, err := c.rows(ctx, "select hex(variable_name), hex(variable_value) from performance_schema.persisted_variables order by 1", 2)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		name, err := unhex(row[0])
		if err != nil {
			return "", c.strange(err)
		}
		value, err := unhex(row[1])
		if err != nil {
			return "", c.strange(err)
		}
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			value = text(value)
		}
		script += "SET PERSIST_ONLY " + identifier(name) + " = " + value + ";\n"
	}
	return script, nil
}

// lines runs a statement for every name, and returns the first fields of all rows.
func (c *session) lines(ctx context.Context, statement string, names []string) ([]string, error) {
	plain := *c
	plain.server.Databases = nil
	var list []string
	for batch := range slices.Chunk(names, 100) {
		var script strings.Builder
		for _, name := range batch {
			script.WriteString(strings.Replace(statement, "%s", name, 1) + ";\n")
		}
		out, err := plain.sql(ctx, script.String(), maxAnswer)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			field, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			list = append(list, unescape(field))
		}
	}
	return list, nil
}

// text is a string of SQL.
func text(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// before reports whether a version is older than major.minor.
func before(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	a, _ := strconv.Atoi(first)
	b, _ := strconv.Atoi(second)
	return a < major || a == major && b < minor
}
