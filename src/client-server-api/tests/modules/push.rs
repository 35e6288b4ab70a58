mod push_rules;
