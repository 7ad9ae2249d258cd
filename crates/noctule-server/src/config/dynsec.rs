//! Dynamic security: the file that says who may log in, and who may do what.

use std::path::{Path, PathBuf};

/// Where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DynamicSecurity {
    /// The file, which the broker writes too.
    pub file: PathBuf,
    /// A file with the first password of `admin`, for when there is none.
    pub password_init_file: Option<PathBuf>,
}

impl DynamicSecurity {
    /// Files that are not named from the root on lie in this folder.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.file = folder.join(&self.file);
        if let Some(file) = &mut self.password_init_file {
            *file = folder.join(&*file);
        }
    }
}

/// A `[dynamic_security]` as the file says it.
#[derive(Clone, Default)]
pub(super) struct DynsecDraft {
    pub(super) file: Box<str>,
    pub(super) password_init_file: Box<str>,
}

impl DynsecDraft {
    /// The options as the file would say them.
    pub(super) fn of(options: &DynamicSecurity) -> DynsecDraft {
        let text = |path: &Path| path.to_string_lossy().into();
        let first = options.password_init_file.as_deref();
        DynsecDraft {
            file: text(&options.file),
            password_init_file: first.map(text).unwrap_or_default(),
        }
    }

    /// What it means, or which option is wrong, and why.
    pub(super) fn finish(self) -> Result<DynamicSecurity, (&'static str, String)> {
        if self.file.is_empty() {
            return Err(("file", "is missing: the file of dynamic security".into()));
        }
        let first = &*self.password_init_file;
        Ok(DynamicSecurity {
            file: PathBuf::from(&*self.file),
            password_init_file: (!first.is_empty()).then(|| first.into()),
        })
    }
}
