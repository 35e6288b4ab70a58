mod profiles;
mod user_directory;
