package database

import (
	"context"
	"strings"
)

// pgOwn keeps what belongs to the system or to an extension out of a listing of a catalog.
func pgOwn(catalog, schema string) string {
	return schema + " !~ '^pg_' and " + schema + " <> 'information_schema' and not exists (select from pg_depend d where d.classid = '" +
		catalog + "'::regclass and d.objid = x.oid and d.deptype = 'e')"
}

// pgSchema lists what makes a schema, a line in hex for each thing.
var pgSchema = func() string {
	line := func(kind, expression, from string) string {
		return "select " + pgHex("concat_ws(E'\\x01', '"+kind+"', "+expression+")") + " from " + from + ";\n"
	}
	return line("schema", "x.nspname", "pg_namespace x where "+pgOwn("pg_namespace", "x.nspname")) +
		line("extension", "x.extname", "pg_extension x") +
		line("relation", "n.nspname, x.relname, x.relkind, x.relpersistence, x.relrowsecurity, pg_get_partkeydef(x.oid)",
			"pg_class x join pg_namespace n on n.oid = x.relnamespace where x.relkind in ('r','p','v','m','f','S') and "+
				pgOwn("pg_class", "n.nspname")) +
		line("column", "n.nspname, x.relname, a.attnum - (select count(*) from pg_attribute e where e.attrelid = x.oid and e.attnum > 0 "+
			"and e.attnum < a.attnum and e.attisdropped), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "+
			"coalesce(pg_get_expr(v.adbin, v.adrelid), '-'), a.attidentity, "+
			"(select o.collname from pg_collation o where o.oid = a.attcollation)",
			"pg_attribute a join pg_class x on x.oid = a.attrelid join pg_namespace n on n.oid = x.relnamespace "+
				"left join pg_attrdef v on v.adrelid = x.oid and v.adnum = a.attnum "+
				"where a.attnum > 0 and not a.attisdropped and x.relkind in ('r','p','f') and "+pgOwn("pg_class", "n.nspname")) +
		line("view", "n.nspname, x.relname, pg_get_viewdef(x.oid)",
			"pg_class x join pg_namespace n on n.oid = x.relnamespace where x.relkind in ('v','m') and "+pgOwn("pg_class", "n.nspname")) +
		line("index", "pg_get_indexdef(x.oid)",
			"pg_class x join pg_namespace n on n.oid = x.relnamespace where x.relkind in ('i','I') and "+pgOwn("pg_class", "n.nspname")) +
		line("constraint", "n.nspname, x.conrelid::regclass, x.contypid::regtype, x.conname, pg_get_constraintdef(x.oid)",
			"pg_constraint x join pg_namespace n on n.oid = x.connamespace where "+pgOwn("pg_constraint", "n.nspname")) +
		line("routine", "pg_get_functiondef(x.oid)",
			"pg_proc x join pg_namespace n on n.oid = x.pronamespace where x.prokind in ('f','p','w') and "+pgOwn("pg_proc", "n.nspname")) +
		line("trigger", "pg_get_triggerdef(x.oid), x.tgenabled",
			"pg_trigger x join pg_class c on c.oid = x.tgrelid join pg_namespace n on n.oid = c.relnamespace where not x.tgisinternal and "+
				pgOwn("pg_trigger", "n.nspname")) +
		line("enum", "n.nspname, x.typname, (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e "+
			"where e.enumtypid = x.oid)", "pg_type x join pg_namespace n on n.oid = x.typnamespace where x.typtype = 'e' and "+
			pgOwn("pg_type", "n.nspname")) +
		line("policy", "x.polrelid::regclass, x.polname, x.polcmd, pg_get_expr(x.polqual, x.polrelid), pg_get_expr(x.polwithcheck, x.polrelid)",
			"pg_policy x")
}()

func (c *postgres) schema(ctx context.Context) ([]string, error) {
	names, _, err := c.databases(ctx)
	if err != nil {
		return nil, err
	}
	query := pgSchema
	if before(c.number, 11, 0) {
		query = strings.ReplaceAll(query, "x.prokind in ('f','p','w')", "not x.proisagg")
	}
	if before(c.number, 10, 0) {
		query = strings.NewReplacer(", a.attidentity", "", ", pg_get_partkeydef(x.oid)", "").Replace(query)
	}
	var lines []string
	for _, name := range names {
		rows, err := c.rows(ctx, name, query, 1)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			lines = append(lines, name+" "+row[0])
		}
	}
	return lines, nil
}
