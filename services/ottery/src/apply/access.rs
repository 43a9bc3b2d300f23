//! Which system, and with which key.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ottery_kit::secret::Secret;

use crate::cli::ApplyOptions;
use crate::up::state::{self, State};

/// Where `ottery up` listens when nothing else is said.
const URL: &str = "http://127.0.0.1:8080";

/// What the command line says about it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// `--url`
    pub url: &'a Option<String>,
    /// `--api-key`
    pub api_key: &'a Option<String>,
    /// `--data-dir`
    pub data_dir: &'a Option<PathBuf>,
}

impl<'a> From<&'a ApplyOptions> for Named<'a> {
    fn from(options: &'a ApplyOptions) -> Self {
        Self { url: &options.url, api_key: &options.api_key, data_dir: &options.data_dir }
    }
}

/// Which system, and with which key.
#[derive(Debug)]
pub struct Access {
    /// The host of its staff area.
    pub url: String,
    /// Of the platform, or of the brand whose documents are applied.
    pub api_key: Secret,
}

impl Access {
    /// What was said on the command line; then what the environment says; then the system that `ottery up` keeps in
    /// `default_folder`, as long as no other one was named.
    ///
    /// # Errors
    /// No key was named and none is found: with the ways to name one.
    pub fn find(
        options: Named<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
        default_folder: &Path,
    ) -> anyhow::Result<Self> {
        Self::find_with(options, variable, default_folder, key_of)
    }

    /// The same with another key of those that a data folder holds.
    ///
    /// # Errors
    /// As [`Access::find`].
    pub fn find_with(
        options: Named<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
        default_folder: &Path,
        key_of: fn(&Path) -> anyhow::Result<String>,
    ) -> anyhow::Result<Self> {
        // A folder that was named says both; its key must not go to the system the environment speaks of.
        let variable = |name: &str| options.data_dir.is_none().then(|| variable(name)).flatten();
        let named_url = options.url.clone().or_else(|| variable("OTTERY_URL"));
        let named_key = options.api_key.clone().or_else(|| variable("OTTERY_API_KEY"));
        if let Some(key) = named_key {
            return Ok(Self { url: named_url.unwrap_or_else(|| URL.to_owned()), api_key: Secret::new(key) });
        }
        let folder = match options.data_dir {
            Some(folder) => folder,
            None if named_url.is_none() && default_folder.join(state::FILE).exists() => default_folder,
            None => anyhow::bail!(
                "name an API key with --api-key or OTTERY_API_KEY, or the data folder of a running `ottery up` with --data-dir"
            ),
        };
        let api_key = key_of(folder)?;
        let url = named_url.or_else(|| state::address_of(folder));
        Ok(Self { url: url.unwrap_or_else(|| URL.to_owned()), api_key: Secret::new(api_key) })
    }
}

/// The demo brand's key that the first start made.
pub fn key_of_brand(folder: &Path) -> anyhow::Result<String> {
    let people = State::read(folder)?.people;
    let key = people.map(|people| people.api_key);
    key.with_context(|| {
        format!("{} holds no key of a brand; make one and name it with --api-key", folder.join(state::FILE).display())
    })
}

/// The platform's key that the first start made.
fn key_of(folder: &Path) -> anyhow::Result<String> {
    let people = State::read(folder)?.people;
    let key = people.and_then(|people| people.platform_api_key);
    key.with_context(|| {
        format!(
            "{} holds no key of the platform, which the first start makes for a demo; make one (docs/apply.md says how) and name \
             it with --api-key",
            folder.join(state::FILE).display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: Option<&str>, api_key: Option<&str>, data_dir: Option<&str>) -> ApplyOptions {
        ApplyOptions {
            files: Vec::new(),
            url: url.map(str::to_owned),
            api_key: api_key.map(str::to_owned),
            data_dir: data_dir.map(PathBuf::from),
            json: false,
            dry_run: false,
        }
    }

    fn find(options: &ApplyOptions, variables: &[(&str, &str)], folder: &str) -> anyhow::Result<(String, String)> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let access = Access::find(options.into(), &variable, Path::new(folder))?;
        Ok((access.url, access.api_key.expose().to_owned()))
    }

    #[test]
    fn the_command_line_comes_before_the_environment() {
        let variables = [("OTTERY_URL", "https://env.example"), ("OTTERY_API_KEY", "otk_env")];
        let pair = |url: &str, key: &str| (url.to_owned(), key.to_owned());
        assert_eq!(
            find(&options(None, None, None), &variables, "none").unwrap(),
            pair("https://env.example", "otk_env")
        );
        let said = options(Some("https://said.example"), Some("otk_said"), None);
        assert_eq!(find(&said, &variables, "none").unwrap(), pair("https://said.example", "otk_said"));
        assert_eq!(find(&options(None, Some("otk_said"), None), &[], "none").unwrap(), pair(URL, "otk_said"));
    }

    #[test]
    fn without_a_key_the_ways_to_name_one_are_said() {
        for options in [options(None, None, None), options(Some("https://a.example"), None, None)] {
            let said = find(&options, &[], "none").unwrap_err().to_string();
            assert!(["--api-key", "OTTERY_API_KEY", "--data-dir"].iter().all(|way| said.contains(way)), "{said}");
        }
    }

    #[test]
    fn a_data_folder_gives_key_and_address_and_is_not_mixed_with_another_system() {
        let folder = std::env::temp_dir().join(format!("ottery-access-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.to_str().unwrap();
        let people = |key: &str| {
            format!(
                "database_password = 'x'\n[people]\nstaff_email = ''\nstaff_password = ''\nstaff_totp_secret = ''\n\
                 customer_email = ''\ncustomer_password = ''\napi_key = 'otk_demo'\nbrand_host = ''\nbrand_id = ''\n{key}"
            )
        };
        std::fs::write(folder.join(state::FILE), people("platform_api_key = 'otk_platform'\n")).unwrap();
        let found = find(&options(None, None, None), &[], path).unwrap();
        assert_eq!(found, (URL.to_owned(), "otk_platform".to_owned()), "the default folder, at the default address");
        std::fs::write(folder.join(state::ADDRESS_FILE), "http://127.0.0.1:9191").unwrap();
        let said = options(None, None, Some(path));
        let variables = [("OTTERY_API_KEY", "otk_env"), ("OTTERY_URL", "https://env.example")];
        let expected = ("http://127.0.0.1:9191".to_owned(), "otk_platform".to_owned());
        assert_eq!(
            find(&said, &variables, "none").unwrap(),
            expected,
            "a folder that is named comes before the environment"
        );
        // The folder's key is not sent to a system somewhere else.
        assert!(find(&options(Some("https://a.example"), None, None), &[], path).is_err());
        std::fs::write(folder.join(state::FILE), people("")).unwrap();
        let said = format!("{:#}", find(&said, &[], "none").unwrap_err());
        assert!(said.contains("no key of the platform") && said.contains("--api-key"), "{said}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
