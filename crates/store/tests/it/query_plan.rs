//! How SQLite goes about queries: which indexes serve them, and that repeats are looked for only where there can be any.

use tolstoy_edn::Value as Edn;

use crate::query::people;

fn plan(query: &str, inputs: &[Edn]) -> String {
    people().explain(query, inputs).unwrap()
}

#[test]
fn a_selective_value_comes_first_and_all_else_by_entity() {
    insta::assert_snapshot!(plan(
        r#"[:find ?e ?age ?sex ?alive
            :where [?e :person/age ?age] [?e :person/sex ?sex] [?e :person/alive ?alive] [?e :person/name "Ivan"]]"#,
        &[],
    ), @r"
    SELECT d0.e, d1.v, d2.v, d3.v FROM datoms AS d0 CROSS JOIN datoms AS d1 CROSS JOIN datoms AS d2 CROSS JOIN datoms AS d3 WHERE d0.a = 65536 AND d0.v = ?1 AND d0.avet = 1 AND d1.a = 65538 AND d1.e = d0.e AND d2.a = 65546 AND d2.e = d0.e AND d3.a = 65540 AND d3.e = d0.e
    SEARCH d0 USING COVERING INDEX avet (a=? AND v=?)
    SEARCH d1 USING PRIMARY KEY (e=? AND a=?)
    SEARCH d2 USING PRIMARY KEY (e=? AND a=?)
    SEARCH d3 USING PRIMARY KEY (e=? AND a=?)
    ");
}

#[test]
fn a_range_goes_through_the_index_by_value() {
    insta::assert_snapshot!(plan("[:find ?e ?s :where [?e :person/age ?s] [(> ?s 50000)]]", &[]), @r"
    SELECT d0.e, d0.v FROM datoms AS d0 WHERE d0.a = 65538 AND d0.avet = 1 AND d0.v > ?1
    SEARCH d0 USING COVERING INDEX avet (a=? AND v>?)
    ");
}

#[test]
fn a_unique_value_goes_through_its_own_index() {
    insta::assert_snapshot!(plan(
        r#"[:find ?x . :where [?e :person/email "a"] [?e :person/name ?x]]"#, &[]), @r"
    SELECT d1.v FROM datoms AS d0 CROSS JOIN datoms AS d1 WHERE d0.a = 65537 AND d0.v = ?1 AND d0.uniq = 1 AND d1.a = 65536 AND d1.e = d0.e LIMIT ?2
    SEARCH d0 USING COVERING INDEX uniq (a=? AND v=?)
    SEARCH d1 USING PRIMARY KEY (e=? AND a=?)
    ");
}

#[test]
fn refs_are_followed_both_ways() {
    insta::assert_snapshot!(plan(
        r#"[:find ?e ?m :where [?e :person/name "Ivan"] [?e :person/friend ?f] [?f :person/name ?m]]"#, &[]), @r"
    SELECT DISTINCT d0.e, d2.v FROM datoms AS d0 CROSS JOIN datoms AS d1 CROSS JOIN datoms AS d2 WHERE d0.a = 65536 AND d0.v = ?1 AND d0.avet = 1 AND d1.a = 65548 AND d1.e = d0.e AND d2.a = 65536 AND d2.e = d1.v
    SEARCH d0 USING COVERING INDEX avet (a=? AND v=?)
    SEARCH d1 USING PRIMARY KEY (e=? AND a=?)
    SEARCH d2 USING PRIMARY KEY (e=? AND a=?)
    USE TEMP B-TREE FOR DISTINCT
    ");
    insta::assert_snapshot!(plan(
        r#"[:find ?n :where [?e :person/name ?n] [?e :person/friend [:person/email "x"]]]"#, &[]), @r"
    SELECT DISTINCT d1.v FROM datoms AS d0 CROSS JOIN datoms AS d1 WHERE d0.a = 65548 AND d0.v = (SELECT +e FROM datoms WHERE a = 65537 AND v = ?1 AND uniq = 1) AND d0.vt = 23 AND d1.a = 65536 AND d1.e = d0.e
    SEARCH d0 USING COVERING INDEX vaet (v=? AND a=?)
    SCALAR SUBQUERY 1
      SEARCH datoms USING COVERING INDEX uniq (a=? AND v=?)
    SEARCH d1 USING PRIMARY KEY (e=? AND a=?)
    USE TEMP B-TREE FOR DISTINCT
    ");
    insta::assert_snapshot!(plan(
        r#"[:find ?e ?a :where [?s :db/ident :sex/male] [?e ?a ?s]]"#, &[]), @r"
    SELECT d1.e, d1.a FROM datoms AS d0 CROSS JOIN datoms AS d1 WHERE d0.a = 1 AND d0.v = ?1 AND d0.uniq = 1 AND d1.vt = 23 AND d1.v = +d0.e
    SEARCH d0 USING COVERING INDEX uniq (a=? AND v=?)
    SEARCH d1 USING COVERING INDEX vaet (v=?)
    ");
}

#[test]
fn given_values_are_looked_up_one_by_one() {
    let names = Edn::Vector(vec!["Anna".into(), "Boris".into()]);
    insta::assert_snapshot!(plan(
        "[:find ?e ?a :in [?n ...] :where [?e :person/age ?a] [?e :person/name ?n]]", &[names]), @r"
    SELECT d1.e, d2.v FROM (VALUES (?1, 27), (?2, 27)) AS d0 CROSS JOIN datoms AS d1 CROSS JOIN datoms AS d2 WHERE d1.a = 65536 AND d1.avet = 1 AND d1.v = d0.column1 AND d2.a = 65538 AND d2.e = d1.e
    SCAN 2-ROW VALUES CLAUSE
    SEARCH d1 USING COVERING INDEX avet (a=? AND v=?)
    SEARCH d2 USING PRIMARY KEY (e=? AND a=?)
    ");
}

#[test]
fn an_attribute_that_only_the_facts_name_is_looked_up_in_both_lists() {
    insta::assert_snapshot!(plan("[:find ?e ?v :where [?a :db/ident :person/age] [?e ?a ?v]]", &[]), @r"
    SELECT d1.e, d1.v, d1.vt FROM datoms AS d0 CROSS JOIN datoms AS d1 WHERE d0.a = 1 AND d0.v = ?1 AND d0.uniq = 1 AND ((d1.a = d0.e AND d1.avet IS NULL) OR (d1.a = d0.e AND d1.avet = 1)) AND d1.a = d0.e
    SEARCH d0 USING COVERING INDEX uniq (a=? AND v=?)
    MULTI-INDEX OR
      INDEX 1
        SEARCH d1 USING INDEX aevt (a=?)
      INDEX 2
        SEARCH d1 USING INDEX avet (a=?)
    ");
    insta::assert_snapshot!(plan("[:find ?e ?v :where [?e :person/sex ?v]]", &[]), @r"
    SELECT d0.e, d0.v FROM datoms AS d0 WHERE d0.a = 65546 AND d0.avet IS NULL
    SEARCH d0 USING COVERING INDEX aevt (a=?)
    ");
}

#[test]
fn types_are_compared_where_they_are_not_known() {
    insta::assert_snapshot!(plan("[:find ?e ?f ?v :where [?e :person/age ?v] [?f ?a ?v]]", &[]), @r"
    SELECT DISTINCT d1.e, d0.e, d0.v FROM datoms AS d0 CROSS JOIN datoms AS d1 WHERE d0.vt = 25 AND d1.a = 65538 AND d1.avet = 1 AND d1.v = d0.v
    SCAN d0
    SEARCH d1 USING COVERING INDEX avet (a=? AND v=?)
    USE TEMP B-TREE FOR DISTINCT
    ");
    insta::assert_snapshot!(plan("[:find ?e ?f ?v :where [?e ?a ?v] [?f ?b ?v] [?e :person/age 1]]", &[]), @r"
    SELECT DISTINCT d0.e, d2.e, d1.v, d1.vt FROM datoms AS d0 CROSS JOIN datoms AS d1 CROSS JOIN datoms AS d2 WHERE d0.a = 65538 AND d0.v = ?1 AND d0.avet = 1 AND d1.e = d0.e AND d2.vt = d1.vt AND d2.v = d1.v
    SEARCH d0 USING COVERING INDEX avet (a=? AND v=?)
    SEARCH d1 USING PRIMARY KEY (e=?)
    BLOOM FILTER ON d2 (vt=?)
    SEARCH d2 USING AUTOMATIC COVERING INDEX (vt=?)
    USE TEMP B-TREE FOR DISTINCT
    ");
}

#[test]
fn aggregates_remove_repeats_first_where_there_can_be_any() {
    insta::assert_snapshot!(plan("[:find ?a (count ?e) :where [?e :person/age ?a]]", &[]), @r"
    SELECT d0.v, count(*) FROM datoms AS d0 WHERE d0.a = 65538 AND d0.avet = 1 GROUP BY d0.v
    SEARCH d0 USING COVERING INDEX avet (a=?)
    ");
    insta::assert_snapshot!(plan(
        "[:find ?a (count ?n) :where [?e :person/age ?a] [?e :person/name ?n] :order (desc (count ?n)) :limit 3]", &[]), @r"
    SELECT x0, count(*) FROM (SELECT DISTINCT d0.v AS x0, d1.v AS x1 FROM datoms AS d0 CROSS JOIN datoms AS d1 WHERE d0.a = 65538 AND d0.avet = 1 AND d1.a = 65536 AND d1.e = d0.e) GROUP BY x0 ORDER BY 2 DESC, 1 LIMIT ?1
    CO-ROUTINE (subquery-1)
      SEARCH d0 USING COVERING INDEX avet (a=?)
      SEARCH d1 USING PRIMARY KEY (e=? AND a=?)
      USE TEMP B-TREE FOR DISTINCT
    SCAN (subquery-1)
    USE TEMP B-TREE FOR GROUP BY
    USE TEMP B-TREE FOR ORDER BY
    ");
}
