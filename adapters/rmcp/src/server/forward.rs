//! The wrapper as a server: what it amends, and everything else handed on.
//!
//! A method that rmcp adds to its trait has a default, so that a wrapper which does not hand it on takes it away from
//! the wrapped server without a word. A test compares this file with the trait in rmcp's source.

use std::borrow::Cow;

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
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
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

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if self.owns_tool(&request.name) {
            // Boxed, so that it does not enlarge the future of every request, which rmcp moves about.
            return Box::pin(self.own_tool(request, context)).await;
        }
        let (era, version) = incoming::era(&context);
        let answer = self
            .inner
            .call_tool(request, self.negotiated_for(era, version, context))
            .await;
        match answer {
            // With the set's tools there is a `tools/call`, even where the wrapped server has none.
            Err(error)
                if error.code == ErrorCode::METHOD_NOT_FOUND
                    && self.shared.set.has_tools(era, version)
                    && self.inner.get_info().capabilities.tools.is_none() =>
            {
                Err(own::unknown_tool())
            }
            answer => answer,
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if self.shared.set.owns(Target::Method(&request.method)) {
            return Box::pin(self.own_method(request, context)).await;
        }
        let core = own::decoded(&request.method).map(|method| (method, incoming::era(&context)));
        let answer = self
            .inner
            .on_custom_request(request, self.negotiated(context))
            .await;
        match core {
            Some((method, era)) => answer.map_err(|error| self.repair(method, era, error)),
            None => answer,
        }
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

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.inner.complete(request, self.negotiated(context)).await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.inner
            .get_prompt(request, self.negotiated(context))
            .await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.inner
            .list_prompts(request, self.negotiated(context))
            .await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.inner
            .list_resources(request, self.negotiated(context))
            .await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.inner
            .list_resource_templates(request, self.negotiated(context))
            .await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.inner
            .read_resource(request, self.negotiated(context))
            .await
    }

    // ---- handed on -----------------------------------------------------------------------------------------------

    async fn ping(&self, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.inner.ping(context).await
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.inner.supported_protocol_versions()
    }

    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.inner
            .set_level(request, self.negotiated(context))
            .await
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.inner.accepted_subscription_filter(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.inner.listen(context).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.inner
            .subscribe(request, self.negotiated(context))
            .await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.inner
            .unsubscribe(request, self.negotiated(context))
            .await
    }

    async fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.inner.on_cancelled(notification, context).await;
    }

    async fn on_progress(
        &self,
        notification: ProgressNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.inner.on_progress(notification, context).await;
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.inner.on_initialized(context).await;
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.inner.on_roots_list_changed(context).await;
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.inner.get_task(request, self.negotiated(context)).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.inner
            .update_task(request, self.negotiated(context))
            .await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.inner
            .cancel_task(request, self.negotiated(context))
            .await
    }

    async fn list_skills(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListSkillsResult, ErrorData> {
        self.inner
            .list_skills(request, self.negotiated(context))
            .await
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetSkillResult, ErrorData> {
        self.inner
            .get_skill(request, self.negotiated(context))
            .await
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceDirectoryResult, ErrorData> {
        self.inner
            .read_resource_directory(request, self.negotiated(context))
            .await
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
