mod notifications;
mod push_rules;
mod pushers;
