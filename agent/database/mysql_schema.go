package database

import (
	"context"
	"slices"
	"strings"
)

// schemaQueries list what makes a schema, from the views that both servers have: first the database in hex, then the definition in
// hex. What changes with data, such as the next number of a column, is left out.
var schemaQueries = []string{
	listing("schemata", "schema_name", "default_character_set_name", "default_collation_name"),
	listing("tables", "table_schema", "table_name", "table_type", "engine", "table_collation", "table_comment"),
	listing("columns", "table_schema", "table_name", "ordinal_position", "column_name", "column_type", "is_nullable", "column_default",
		"collation_name", "extra", "column_comment"),
	listing("statistics", "table_schema", "table_name", "index_name", "seq_in_index", "column_name", "non_unique", "sub_part",
		"index_type"),
	listing("table_constraints", "constraint_schema", "table_name", "constraint_name", "constraint_type"),
	listing("key_column_usage", "constraint_schema", "table_name", "constraint_name", "ordinal_position", "column_name",
		"referenced_table_schema", "referenced_table_name", "referenced_column_name"),
	listing("referential_constraints", "constraint_schema", "table_name", "constraint_name", "update_rule", "delete_rule"),
	listing("views", "table_schema", "table_name", "view_definition", "check_option", "definer", "security_type"),
	listing("routines", "routine_schema", "routine_name", "routine_type", "dtd_identifier", "routine_definition", "sql_data_access",
		"is_deterministic", "security_type", "definer", "sql_mode"),
	listing("parameters", "specific_schema", "specific_name", "ordinal_position", "parameter_mode", "parameter_name", "dtd_identifier"),
	listing("triggers", "trigger_schema", "trigger_name", "event_object_table", "event_manipulation", "action_timing", "action_order",
		"action_statement", "definer", "sql_mode"),
	listing("events", "event_schema", "event_name", "event_definition", "event_type", "execute_at", "interval_value", "interval_field",
		"status", "on_completion", "definer", "sql_mode"),
}

func listing(view, database string, columns ...string) string {
	parts := []string{"'" + view + "'", database}
	for _, column := range columns {
		parts = append(parts, "coalesce("+column+", '-')")
	}
	return "select hex(" + database + "), hex(concat_ws(char(0), " + strings.Join(parts, ", ") + ")) from information_schema." + view +
		" where " + userSchemas(database) + ";\n"
}

func (c *session) schema(ctx context.Context) ([]string, error) {
	names, _, err := c.databases(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := c.rows(ctx, strings.Join(schemaQueries, ""), 2)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, row := range rows {
		name, err := unhex(row[0])
		if err != nil {
			return nil, c.strange(err)
		}
		if slices.Contains(names, name) {
			lines = append(lines, row[1])
		}
	}
	return lines, nil
}
