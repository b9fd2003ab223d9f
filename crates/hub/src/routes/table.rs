//! The table of routes: what answers, and what is written about it. The router and the OpenAPI document come from it, so
//! that neither has a route which the other lacks.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use utoipa::openapi::path::{HttpMethod, Operation};

use super::App;

/// Gives what is written about a route.
pub(super) type Describe = fn() -> Operation;

/// A route that is described.
pub(super) struct Described {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    pub(super) describe: Describe,
}

/// Routes.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Arc<App>>,
    described: Vec<Described>,
}

impl Routes {
    pub(super) fn get<H, T>(self, path: &'static str, handler: H, describe: Describe) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        self.add(path, (HttpMethod::Get, MethodFilter::GET), handler, describe)
    }

    pub(super) fn put<H, T>(self, path: &'static str, handler: H, describe: Describe) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        self.add(path, (HttpMethod::Put, MethodFilter::PUT), handler, describe)
    }

    pub(super) fn post<H, T>(self, path: &'static str, handler: H, describe: Describe) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        self.add(path, (HttpMethod::Post, MethodFilter::POST), handler, describe)
    }

    pub(super) fn delete<H, T>(self, path: &'static str, handler: H, describe: Describe) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        self.add(path, (HttpMethod::Delete, MethodFilter::DELETE), handler, describe)
    }

    /// All of both.
    pub(super) fn and(self, others: Self) -> Self {
        let described = self.described.into_iter().chain(others.described).collect();
        Self { router: self.router.merge(others.router), described }
    }

    fn add<H, T>(
        mut self,
        path: &'static str,
        (method, filter): (HttpMethod, MethodFilter),
        handler: H,
        describe: Describe,
    ) -> Self
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        self.described.push(Described { path, method, describe });
        Self { router: self.router.route(path, on(filter, handler)), described: self.described }
    }

    /// The router, and what is written about its routes.
    pub(super) fn split(self) -> (Router<Arc<App>>, Vec<Described>) {
        (self.router, self.described)
    }
}
