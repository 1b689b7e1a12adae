//! The set of sources that is one source: every route leads to it.

use std::sync::Arc;

use crate::route::Route;
use crate::source::Source;
use crate::sources::{SourceSet, Topology};

pub(crate) struct SingleSource(pub(crate) Arc<Source>);

impl SourceSet for SingleSource {
    fn with_topology(&self, f: &mut dyn FnMut(&dyn Topology)) {
        f(self);
    }

    fn close(&self) {
        self.0.close();
    }
}

impl Topology for SingleSource {
    fn resolve(&self, _: Route) -> &Arc<Source> {
        &self.0
    }

    fn named(&self, name: &str) -> Option<&Arc<Source>> {
        (self.0.name().as_str() == name).then_some(&self.0)
    }

    fn every(&self) -> Vec<&Arc<Source>> {
        vec![&self.0]
    }
}
