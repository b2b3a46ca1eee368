//! The wrapper as a server: what it amends, and everything else handed on.
//!
//! A method that rmcp adds to its trait has a default, so that a wrapper which does not hand it on takes it away from
//! the wrapped server without a word. A test compares this file with the trait in rmcp's source.
//!
//! Where nothing is left to do, a fn gives the wrapped server's own future; and what can be done before the first wait
//! is done outside of an `async` block. Each `async` of ours copies the request and its context once more.

use std::borrow::Cow;

use futures_util::future::Either;
use futures_util::{FutureExt, TryFutureExt};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::Target;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, CancelledNotificationParam,
    CompleteRequestParams, CompleteResult, CustomNotification, CustomRequest, CustomResult,
    DiscoverResult, ErrorCode, GetPromptRequestParams, GetPromptResponse, GetSkillRequestParams,
    GetSkillResult, GetTaskParams, GetTaskResult, InitializeRequestParams, InitializeResult,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListSkillsResult,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion,
    ReadResourceDirectoryRequestParams, ReadResourceDirectoryResult, ReadResourceRequestParams,
    ReadResourceResponse, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{MaybeSendFuture, NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::advertise::{self, Audience};
use super::{WithExtensions, incoming, own};

#[expect(
    deprecated,
    reason = "the wrapped server may still serve legacy subscriptions"
)]
impl<S: ServerHandler> ServerHandler for WithExtensions<S> {
    // ---- amended -------------------------------------------------------------------------------------------------

    fn get_info(&self) -> ServerConfig {
        let mut info = self.inner.get_info();
        self.shared
            .advertisements
            .merge(Audience::Rmcp, &mut info.capabilities, &self.shared.set);
        info
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let requested = request.protocol_version.clone();
        let mut result = self.inner.initialize(request, context).await?;
        self.amend_initialize(&requested, &mut result);
        Ok(result)
    }

    fn negotiate_initialize(
        &self,
        request: &InitializeRequestParams,
    ) -> Result<InitializeResult, ErrorData> {
        let mut result = self.inner.negotiate_initialize(request)?;
        self.amend_initialize(&request.protocol_version, &mut result);
        Ok(result)
    }

    async fn discover(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<DiscoverResult, ErrorData> {
        let (era, version) = incoming::era(&context);
        let mut result = self.inner.discover(context).await?;
        self.shared.advertisements.merge(
            Audience::Of(era, version),
            &mut result.capabilities,
            &self.shared.set,
        );
        Ok(result)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.merged_tools(request, context).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.find_tool(name)
    }

    // Inlined, so that the wrapped server's future is made where rmcp keeps it.
    #[inline(always)]
    fn call_tool(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CallToolResponse, ErrorData>> + MaybeSendFuture {
        if self.owns_tool(&request.name) {
            // Boxed, so that it does not enlarge the future of every request, which rmcp moves about.
            return Either::Left(Box::pin(self.own_tool(request, context)));
        }
        let (era, version) = incoming::era(&context);
        self.put_negotiated(era, version, &mut context);
        let answer = self.inner.call_tool(request, context);
        Either::Right(answer.map(move |answer| match answer {
            // With the set's tools there is a `tools/call`, even where the wrapped server has none.
            Err(error)
                if error.code == ErrorCode::METHOD_NOT_FOUND
                    && self.shared.set.has_tools(era, version)
                    && self.inner.get_info().capabilities.tools.is_none() =>
            {
                Err(own::unknown_tool())
            }
            answer => answer,
        }))
    }

    fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CustomResult, ErrorData>> + MaybeSendFuture {
        if self.shared.set.owns(Target::Method(&request.method)) {
            return Either::Left(Box::pin(self.own_method(request, context)));
        }
        let core = own::decoded(&request.method).map(|method| (method, incoming::era(&context)));
        let answer = self
            .inner
            .on_custom_request(request, self.negotiated(context));
        Either::Right(answer.map_err(move |error| match core {
            Some((method, era)) => self.repair(method, era, error),
            None => error,
        }))
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        context: NotificationContext<RoleServer>,
    ) {
        if !self.shared.set.notification(&notification.method) {
            self.inner
                .on_custom_notification(notification, context)
                .await;
        }
    }

    // ---- handed on, with what was negotiated in the context ------------------------------------------------------

    fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CompleteResult, ErrorData>> + MaybeSendFuture {
        self.inner.complete(request, self.negotiated(context))
    }

    fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<GetPromptResponse, ErrorData>> + MaybeSendFuture {
        self.inner.get_prompt(request, self.negotiated(context))
    }

    fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListPromptsResult, ErrorData>> + MaybeSendFuture {
        self.inner.list_prompts(request, self.negotiated(context))
    }

    fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListResourcesResult, ErrorData>> + MaybeSendFuture {
        self.inner.list_resources(request, self.negotiated(context))
    }

    fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListResourceTemplatesResult, ErrorData>> + MaybeSendFuture
    {
        self.inner
            .list_resource_templates(request, self.negotiated(context))
    }

    fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ReadResourceResponse, ErrorData>> + MaybeSendFuture {
        self.inner.read_resource(request, self.negotiated(context))
    }

    // ---- handed on -----------------------------------------------------------------------------------------------

    fn ping(
        &self,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<(), ErrorData>> + MaybeSendFuture {
        self.inner.ping(context)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.inner.supported_protocol_versions()
    }

    fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<(), ErrorData>> + MaybeSendFuture {
        self.inner.set_level(request, self.negotiated(context))
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.inner.accepted_subscription_filter(requested)
    }

    fn listen(
        &self,
        context: SubscriptionContext,
    ) -> impl Future<Output = Result<(), ErrorData>> + MaybeSendFuture {
        self.inner.listen(context)
    }

    fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<(), ErrorData>> + MaybeSendFuture {
        self.inner.subscribe(request, self.negotiated(context))
    }

    fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<(), ErrorData>> + MaybeSendFuture {
        self.inner.unsubscribe(request, self.negotiated(context))
    }

    fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        context: NotificationContext<RoleServer>,
    ) -> impl Future<Output = ()> + MaybeSendFuture {
        self.inner.on_cancelled(notification, context)
    }

    fn on_progress(
        &self,
        notification: ProgressNotificationParam,
        context: NotificationContext<RoleServer>,
    ) -> impl Future<Output = ()> + MaybeSendFuture {
        self.inner.on_progress(notification, context)
    }

    fn on_initialized(
        &self,
        context: NotificationContext<RoleServer>,
    ) -> impl Future<Output = ()> + MaybeSendFuture {
        self.inner.on_initialized(context)
    }

    fn on_roots_list_changed(
        &self,
        context: NotificationContext<RoleServer>,
    ) -> impl Future<Output = ()> + MaybeSendFuture {
        self.inner.on_roots_list_changed(context)
    }

    fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<GetTaskResult, ErrorData>> + MaybeSendFuture {
        self.inner.get_task(request, self.negotiated(context))
    }

    fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<(), ErrorData>> + MaybeSendFuture {
        self.inner.update_task(request, self.negotiated(context))
    }

    fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<(), ErrorData>> + MaybeSendFuture {
        self.inner.cancel_task(request, self.negotiated(context))
    }

    fn list_skills(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListSkillsResult, ErrorData>> + MaybeSendFuture {
        self.inner.list_skills(request, self.negotiated(context))
    }

    fn get_skill(
        &self,
        request: GetSkillRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<GetSkillResult, ErrorData>> + MaybeSendFuture {
        self.inner.get_skill(request, self.negotiated(context))
    }

    fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ReadResourceDirectoryResult, ErrorData>> + MaybeSendFuture
    {
        self.inner
            .read_resource_directory(request, self.negotiated(context))
    }
}

impl<S: ServerHandler> WithExtensions<S> {
    fn amend_initialize(&self, requested: &ProtocolVersion, result: &mut InitializeResult) {
        let supported = self.inner.supported_protocol_versions();
        let version = advertise::settled(requested, &result.protocol_version, supported);
        self.shared.advertisements.merge(
            Audience::Of(Era::Legacy, version),
            &mut result.capabilities,
            &self.shared.set,
        );
    }
}
