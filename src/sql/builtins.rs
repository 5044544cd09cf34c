//! What PostgreSQL brings along that yields one value a call: data, sorted for a binary search.
//!
//! Names come from `pg_proc` of PostgreSQL 15: in `pg_catalog`, no overload of the name returns a
//! set; `uuidv4` and `uuidv7` are of 18, see [`NEWER`]; what only the server itself calls (operator, index, aggregate support) left out.
//! So are `set_config`, whose effect is undone with the row, and `ts_rewrite`, which runs a query.
//! A keyword is here only if no function can have its name; others are told by the word before.

/// Functions, and words that may stand before a parenthesis without being one (`IN (`, `CAST(`,
/// `numeric(10,2)`).
#[rustfmt::skip]
pub(super) const SCALAR_FUNCTIONS: &[&str] = &[
    "abbrev", "abs", "acos", "acosd", "acosh", "age", "all", "and", "any", "area", "array",
    "array_dims", "array_fill", "array_lower", "array_ndims", "array_position", "array_positions",
    "array_remove", "array_replace", "array_to_json", "array_to_string", "array_to_tsvector",
    "array_upper", "ascii", "asin", "asind", "asinh", "atan", "atan2", "atan2d", "atand", "atanh",
    "between", "bit", "bit_count", "bit_length", "bool", "both", "bound_box", "box", "bpchar",
    "broadcast", "cardinality", "case", "cast", "cbrt", "ceil", "ceiling", "center", "char",
    "char_length", "character", "character_length", "chr", "cidr", "circle", "clock_timestamp",
    "coalesce", "col_description", "collation", "concat", "concat_ws", "convert", "convert_from",
    "convert_to", "cos", "cosd", "cosh", "cot", "cotd", "current_database", "current_query",
    "current_schema", "current_schemas", "current_setting", "current_time", "current_timestamp",
    "current_user", "currval", "date", "date_bin", "date_part", "date_trunc", "datemultirange",
    "daterange", "dec", "decimal", "decode", "degrees", "dexp", "diagonal", "diameter", "distinct",
    "div", "dlog1", "dlog10", "dround", "dtrunc", "else", "encode", "enum_first", "enum_last",
    "enum_range", "exists", "exp", "extract", "factorial", "family", "float", "float4", "float8",
    "floor", "for", "format", "format_type", "from", "gcd", "gen_random_uuid", "get_bit",
    "get_byte", "get_current_ts_config", "getdatabaseencoding", "greatest", "has_column_privilege",
    "has_database_privilege", "has_foreign_data_wrapper_privilege", "has_function_privilege",
    "has_language_privilege", "has_parameter_privilege", "has_schema_privilege",
    "has_sequence_privilege", "has_server_privilege", "has_table_privilege",
    "has_tablespace_privilege", "has_type_privilege", "height", "host", "hostmask", "in",
    "inet_client_addr", "inet_client_port", "inet_merge", "inet_same_family", "inet_server_addr",
    "inet_server_port", "initcap", "int2", "int4", "int4multirange", "int4range", "int8",
    "int8multirange", "int8range", "interval", "is_normalized", "isclosed", "isempty", "isfinite",
    "ishorizontal", "isopen", "isparallel", "isperp", "isvertical", "json_array_length",
    "json_build_array", "json_build_object", "json_object", "json_populate_record",
    "json_strip_nulls", "json_to_tsvector", "json_typeof", "jsonb_array_length",
    "jsonb_build_array", "jsonb_build_object", "jsonb_insert", "jsonb_object", "jsonb_path_exists",
    "jsonb_path_exists_tz", "jsonb_path_match", "jsonb_path_match_tz", "jsonb_path_query_array",
    "jsonb_path_query_array_tz", "jsonb_path_query_first", "jsonb_path_query_first_tz",
    "jsonb_populate_record", "jsonb_pretty", "jsonb_set", "jsonb_set_lax", "jsonb_strip_nulls",
    "jsonb_to_tsvector", "jsonb_typeof", "justify_days", "justify_hours", "justify_interval",
    "lastval", "lcm", "leading", "least", "left", "length", "like", "line", "ln", "localtime",
    "localtimestamp", "log", "log10", "lower", "lower_inc", "lower_inf", "lpad", "lseg", "ltrim",
    "macaddr", "macaddr8", "macaddr8_set7bit", "make_date", "make_interval", "make_time",
    "make_timestamp", "make_timestamptz", "masklen", "md5", "min_scale", "mod", "money",
    "multirange", "mxid_age", "name", "nchar", "netmask", "network", "nextval", "normalize", "not",
    "now", "npoints", "nullif", "num_nonnulls", "num_nulls", "numeric", "numeric_exp", "numeric_ln",
    "numeric_log", "numeric_sqrt", "nummultirange", "numnode", "numrange", "obj_description",
    "octet_length", "oid", "or", "overlaps", "overlay", "parse_ident", "path", "pclose",
    "pg_backend_pid", "pg_client_encoding", "pg_column_size", "pg_conf_load_time",
    "pg_current_wal_lsn", "pg_current_xact_id", "pg_database_size", "pg_encoding_to_char",
    "pg_get_constraintdef", "pg_get_expr", "pg_get_functiondef", "pg_get_indexdef",
    "pg_get_serial_sequence", "pg_get_userbyid", "pg_get_viewdef", "pg_is_in_recovery",
    "pg_my_temp_schema", "pg_postmaster_start_time", "pg_relation_size", "pg_size_pretty",
    "pg_table_size", "pg_total_relation_size", 
    "pg_typeof", "phraseto_tsquery", "pi", "placing", "plainto_tsquery", "point", "polygon",
    "popen", "position", "pow", "power", "precision", "querytree", "quote_ident", "quote_literal",
    "quote_nullable", "radians", "radius", "random", "regclass", "regexp_count", "regexp_instr",
    "regexp_like", "regexp_match", "regexp_replace", "regexp_split_to_array", "regexp_substr",
    "repeat", "replace", "reverse", "right", "round", "row", "row_security_active", "row_to_json",
    "rpad", "rtrim", "scale", "session_user", "set_bit", "set_byte", "set_masklen", "setval",
    "setweight", "sha224", "sha256", "sha384", "sha512", "shobj_description", "sign",
    "similar_to_escape", "sin", "sind", "sinh", "slope", "some", "split_part", "sqrt",
    "starts_with", "statement_timestamp", "string_to_array", "strip", "strpos", "substr",
    "substring", "symmetric", "tan", "tand", "tanh", "text", "textcat", "textlen", "then", "time",
    "timeofday", "timestamp", "timestamptz", "timetz", "timezone", "to", "to_ascii", "to_char",
    "to_date", "to_hex", "to_json", "to_jsonb", "to_number", "to_regclass", "to_regcollation",
    "to_regnamespace", "to_regoper", "to_regoperator", "to_regproc", "to_regprocedure",
    "to_regrole", "to_regtype", "to_timestamp", "to_tsquery", "to_tsvector", "trailing",
    "transaction_timestamp", "translate", "treat", "trim", "trim_array", "trim_scale", "trunc",
    "ts_delete", "ts_filter", "ts_headline", "ts_lexize", "ts_rank", "ts_rank_cd", "tsmultirange",
    "tsrange", "tstzmultirange", "tstzrange", "tsvector_to_array", "txid_current",
    "txid_current_if_assigned", "txid_current_snapshot", "txid_snapshot_xmax", "txid_snapshot_xmin",
    "txid_status", "txid_visible_in_snapshot", "unistr", "upper", "upper_inc", "upper_inf", "using",
    "uuidv4", "uuidv7", "varbit", "varchar", "version", "websearch_to_tsquery", "when", "width",
    "width_bucket", "xid", "xml", "xml_is_well_formed", "xml_is_well_formed_content",
    "xml_is_well_formed_document", "xmlattributes", "xmlcomment", "xmlconcat", "xmlelement",
    "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xpath",
    "xpath_exists",
];

/// Words of a query that may stand before a parenthesis, and what computes over its rows.
#[rustfmt::skip]
pub(super) const QUERY_WORDS: &[&str] = &[
    "array_agg", "as", "avg", "bool_and", "bool_or", "count", "dense_rank", "every", "except",
    "first_value", "having", "intersect", "json_agg", "jsonb_agg", "lag", "last_value", "lateral",
    "lead", "limit", "max", "min", "not", "offset", "on", "or", "rank", "row_number", "select",
    "string_agg", "sum", "union", "using", "values", "where", "with",
];

/// Operators, and the two spellings the grammar adds (`!=` is `<>`, `=>` names an argument).
#[rustfmt::skip]
pub(super) const SCALAR_OPERATORS: &[&str] = &[
    "!!", "!=", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<",
    "&<|", "&>", "*", "*<", "*<=", "*<>", "*=", "*>", "*>=", "+", "-", "->", "->>", "-|-", "/",
    "<", "<->", "<<", "<<=", "<<|", "<=", "<>", "<@", "<^", "=", "=>", ">", ">=", ">>", ">>=",
    ">^", "?", "?#", "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?", "@@", "@@@", "^",
    "^@", "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~", "~>~",
    "~~", "~~*",
];

/// What of the above not every server has, by the version of PostgreSQL that it came with: on an
/// older one it is the user's.
#[rustfmt::skip]
pub(super) const NEWER: &[(u32, &[&str])] = &[
    (11, &[
        "^@", "json_to_tsvector", "jsonb_to_tsvector", "sha224", "sha256", "sha384", "sha512",
        "starts_with", "websearch_to_tsquery",
    ]),
    (12, &[
        "@?", "acosh", "asinh", "atanh", "cosh", "jsonb_path_exists", "jsonb_path_match",
        "jsonb_path_query_array", "jsonb_path_query_first", "log10", "sinh", "tanh",
    ]),
    (13, &[
        "gcd", "gen_random_uuid", "is_normalized", "jsonb_path_exists_tz",
        "jsonb_path_match_tz", "jsonb_path_query_array_tz", "jsonb_path_query_first_tz",
        "jsonb_set_lax", "lcm", "min_scale", "normalize", "pg_current_xact_id",
        "similar_to_escape", "to_regcollation", "trim_scale", "xid",
    ]),
    (14, &[
        "bit_count", "date_bin", "datemultirange", "int4multirange", "int8multirange",
        "multirange", "nummultirange", "trim_array", "tsmultirange", "tstzmultirange", "unistr",
    ]),
    (15, &[
        "has_parameter_privilege", "regexp_count", "regexp_instr", "regexp_like",
        "regexp_substr",
    ]),
    (18, &[
        "uuidv4", "uuidv7",
    ]),
];
