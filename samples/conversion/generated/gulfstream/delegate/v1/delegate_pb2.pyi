from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_EVENT: _ClassVar[Reason]
    REASON_REQUEUE: _ClassVar[Reason]
    REASON_INITIAL_LIST: _ClassVar[Reason]
    REASON_RESYNC: _ClassVar[Reason]
REASON_UNSPECIFIED: Reason
REASON_EVENT: Reason
REASON_REQUEUE: Reason
REASON_INITIAL_LIST: Reason
REASON_RESYNC: Reason

class PlaneMessage(_message.Message):
    __slots__ = ("hello", "open", "config", "close", "reconcile", "call_result", "cancel", "drain", "ping", "admit", "convert")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    RECONCILE_FIELD_NUMBER: _ClassVar[int]
    CALL_RESULT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    ADMIT_FIELD_NUMBER: _ClassVar[int]
    CONVERT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    open: Open
    config: Config
    close: Close
    reconcile: Reconcile
    call_result: CallResult
    cancel: Cancel
    drain: Drain
    ping: Ping
    admit: Admit
    convert: Convert
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., open: _Optional[_Union[Open, _Mapping]] = ..., config: _Optional[_Union[Config, _Mapping]] = ..., close: _Optional[_Union[Close, _Mapping]] = ..., reconcile: _Optional[_Union[Reconcile, _Mapping]] = ..., call_result: _Optional[_Union[CallResult, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., admit: _Optional[_Union[Admit, _Mapping]] = ..., convert: _Optional[_Union[Convert, _Mapping]] = ...) -> None: ...

class DelegateMessage(_message.Message):
    __slots__ = ("hello", "call", "cancel_call", "result", "enqueue", "drain", "ping", "window", "admitted", "converted")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    CANCEL_CALL_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ENQUEUE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    CONVERTED_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    call: Call
    cancel_call: CancelCall
    result: Result
    enqueue: Enqueue
    drain: Drain
    ping: Ping
    window: Window
    admitted: Admitted
    converted: Converted
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., call: _Optional[_Union[Call, _Mapping]] = ..., cancel_call: _Optional[_Union[CancelCall, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., enqueue: _Optional[_Union[Enqueue, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., window: _Optional[_Union[Window, _Mapping]] = ..., admitted: _Optional[_Union[Admitted, _Mapping]] = ..., converted: _Optional[_Union[Converted, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_version", "capabilities", "identity", "max_in_flight", "revision", "epoch", "max_reviews_in_flight")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MAX_REVIEWS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    identity: str
    max_in_flight: int
    revision: str
    epoch: int
    max_reviews_in_flight: int
    def __init__(self, protocol_version: _Optional[int] = ..., capabilities: _Optional[_Iterable[str]] = ..., identity: _Optional[str] = ..., max_in_flight: _Optional[int] = ..., revision: _Optional[str] = ..., epoch: _Optional[int] = ..., max_reviews_in_flight: _Optional[int] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("pair", "controller", "generation", "cluster", "primary", "webhook")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    CONTROLLER_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    pair: int
    controller: str
    generation: int
    cluster: Cluster
    primary: GroupVersionResource
    webhook: str
    def __init__(self, pair: _Optional[int] = ..., controller: _Optional[str] = ..., generation: _Optional[int] = ..., cluster: _Optional[_Union[Cluster, _Mapping]] = ..., primary: _Optional[_Union[GroupVersionResource, _Mapping]] = ..., webhook: _Optional[str] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("tenant", "name", "uid", "observed_id", "kubernetes_version")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_ID_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    uid: str
    observed_id: str
    kubernetes_version: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., uid: _Optional[str] = ..., observed_id: _Optional[str] = ..., kubernetes_version: _Optional[str] = ...) -> None: ...

class GroupVersionResource(_message.Message):
    __slots__ = ("group", "version", "resource")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    group: str
    version: str
    resource: str
    def __init__(self, group: _Optional[str] = ..., version: _Optional[str] = ..., resource: _Optional[str] = ...) -> None: ...

class Config(_message.Message):
    __slots__ = ("pair", "revision", "objects")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    pair: int
    revision: int
    objects: _containers.RepeatedCompositeFieldContainer[ConfigObject]
    def __init__(self, pair: _Optional[int] = ..., revision: _Optional[int] = ..., objects: _Optional[_Iterable[_Union[ConfigObject, _Mapping]]] = ...) -> None: ...

class ConfigObject(_message.Message):
    __slots__ = ("reference", "absent", "object")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    reference: ObjectReference
    absent: bool
    object: bytes
    def __init__(self, reference: _Optional[_Union[ObjectReference, _Mapping]] = ..., absent: bool = ..., object: _Optional[bytes] = ...) -> None: ...

class ObjectReference(_message.Message):
    __slots__ = ("api_version", "kind", "namespace", "name")
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    api_version: str
    kind: str
    namespace: str
    name: str
    def __init__(self, api_version: _Optional[str] = ..., kind: _Optional[str] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Close(_message.Message):
    __slots__ = ("pair",)
    PAIR_FIELD_NUMBER: _ClassVar[int]
    pair: int
    def __init__(self, pair: _Optional[int] = ...) -> None: ...

class Reconcile(_message.Message):
    __slots__ = ("id", "pair", "namespace", "name", "attempt", "deadline_ms", "reason", "config_revision", "object", "unmatched", "gone", "prefetched")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CONFIG_REVISION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    PREFETCHED_FIELD_NUMBER: _ClassVar[int]
    id: int
    pair: int
    namespace: str
    name: str
    attempt: int
    deadline_ms: int
    reason: Reason
    config_revision: int
    object: bytes
    unmatched: Unmatched
    gone: Gone
    prefetched: _containers.RepeatedCompositeFieldContainer[Prefetched]
    def __init__(self, id: _Optional[int] = ..., pair: _Optional[int] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., attempt: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., reason: _Optional[_Union[Reason, str]] = ..., config_revision: _Optional[int] = ..., object: _Optional[bytes] = ..., unmatched: _Optional[_Union[Unmatched, _Mapping]] = ..., gone: _Optional[_Union[Gone, _Mapping]] = ..., prefetched: _Optional[_Iterable[_Union[Prefetched, _Mapping]]] = ...) -> None: ...

class Unmatched(_message.Message):
    __slots__ = ("object",)
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    object: bytes
    def __init__(self, object: _Optional[bytes] = ...) -> None: ...

class Gone(_message.Message):
    __slots__ = ("last_state",)
    LAST_STATE_FIELD_NUMBER: _ClassVar[int]
    last_state: bytes
    def __init__(self, last_state: _Optional[bytes] = ...) -> None: ...

class Prefetched(_message.Message):
    __slots__ = ("resource", "namespace", "name", "absent", "object")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    resource: GroupVersionResource
    namespace: str
    name: str
    absent: bool
    object: bytes
    def __init__(self, resource: _Optional[_Union[GroupVersionResource, _Mapping]] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., absent: bool = ..., object: _Optional[bytes] = ...) -> None: ...

class Admit(_message.Message):
    __slots__ = ("id", "pair", "deadline_ms", "config_revision", "dry_run", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_REVISION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: int
    pair: int
    deadline_ms: int
    config_revision: int
    dry_run: bool
    request: bytes
    def __init__(self, id: _Optional[int] = ..., pair: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., config_revision: _Optional[int] = ..., dry_run: bool = ..., request: _Optional[bytes] = ...) -> None: ...

class Admitted(_message.Message):
    __slots__ = ("id", "allowed", "refused", "undecided", "warnings", "audit_annotations")
    class AuditAnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    UNDECIDED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    id: int
    allowed: Allowed
    refused: Refused
    undecided: Failure
    warnings: _containers.RepeatedScalarFieldContainer[str]
    audit_annotations: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[int] = ..., allowed: _Optional[_Union[Allowed, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., undecided: _Optional[_Union[Failure, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., audit_annotations: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Allowed(_message.Message):
    __slots__ = ("patch",)
    PATCH_FIELD_NUMBER: _ClassVar[int]
    patch: bytes
    def __init__(self, patch: _Optional[bytes] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("code", "reason", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Convert(_message.Message):
    __slots__ = ("id", "pair", "deadline_ms", "config_revision", "desired_api_version", "objects")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_REVISION_FIELD_NUMBER: _ClassVar[int]
    DESIRED_API_VERSION_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    pair: int
    deadline_ms: int
    config_revision: int
    desired_api_version: str
    objects: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, id: _Optional[int] = ..., pair: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., config_revision: _Optional[int] = ..., desired_api_version: _Optional[str] = ..., objects: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Converted(_message.Message):
    __slots__ = ("id", "converted", "failed", "undecided")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONVERTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    UNDECIDED_FIELD_NUMBER: _ClassVar[int]
    id: int
    converted: ConvertedObjects
    failed: Failure
    undecided: Failure
    def __init__(self, id: _Optional[int] = ..., converted: _Optional[_Union[ConvertedObjects, _Mapping]] = ..., failed: _Optional[_Union[Failure, _Mapping]] = ..., undecided: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class ConvertedObjects(_message.Message):
    __slots__ = ("objects",)
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, objects: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("id", "reconcile", "pair", "method", "path", "query", "content_type", "body", "accept", "review")
    ID_FIELD_NUMBER: _ClassVar[int]
    RECONCILE_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    id: int
    reconcile: int
    pair: int
    method: str
    path: str
    query: str
    content_type: str
    body: bytes
    accept: str
    review: int
    def __init__(self, id: _Optional[int] = ..., reconcile: _Optional[int] = ..., pair: _Optional[int] = ..., method: _Optional[str] = ..., path: _Optional[str] = ..., query: _Optional[str] = ..., content_type: _Optional[str] = ..., body: _Optional[bytes] = ..., accept: _Optional[str] = ..., review: _Optional[int] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("id", "status", "content_type", "body", "end", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: int
    status: int
    content_type: str
    body: bytes
    end: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[int] = ..., status: _Optional[int] = ..., content_type: _Optional[str] = ..., body: _Optional[bytes] = ..., end: bool = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class CancelCall(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("id", "bytes")
    ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    id: int
    bytes: int
    def __init__(self, id: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("id", "ok", "skip", "requeue_after", "conflict", "transient", "permanent", "events", "pure", "reads")
    ID_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    REQUEUE_AFTER_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    TRANSIENT_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PURE_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    id: int
    ok: Ok
    skip: Skip
    requeue_after: RequeueAfter
    conflict: Failure
    transient: Failure
    permanent: Failure
    events: _containers.RepeatedCompositeFieldContainer[RecordedEvent]
    pure: bool
    reads: _containers.RepeatedCompositeFieldContainer[Read]
    def __init__(self, id: _Optional[int] = ..., ok: _Optional[_Union[Ok, _Mapping]] = ..., skip: _Optional[_Union[Skip, _Mapping]] = ..., requeue_after: _Optional[_Union[RequeueAfter, _Mapping]] = ..., conflict: _Optional[_Union[Failure, _Mapping]] = ..., transient: _Optional[_Union[Failure, _Mapping]] = ..., permanent: _Optional[_Union[Failure, _Mapping]] = ..., events: _Optional[_Iterable[_Union[RecordedEvent, _Mapping]]] = ..., pure: bool = ..., reads: _Optional[_Iterable[_Union[Read, _Mapping]]] = ...) -> None: ...

class Ok(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Skip(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RequeueAfter(_message.Message):
    __slots__ = ("milliseconds",)
    MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    milliseconds: int
    def __init__(self, milliseconds: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class RecordedEvent(_message.Message):
    __slots__ = ("type", "reason", "message")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    type: str
    reason: str
    message: str
    def __init__(self, type: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Read(_message.Message):
    __slots__ = ("resource", "namespace", "name", "label_selector")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_SELECTOR_FIELD_NUMBER: _ClassVar[int]
    resource: GroupVersionResource
    namespace: str
    name: str
    label_selector: str
    def __init__(self, resource: _Optional[_Union[GroupVersionResource, _Mapping]] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., label_selector: _Optional[str] = ...) -> None: ...

class Enqueue(_message.Message):
    __slots__ = ("pair", "namespace", "name", "delay_ms")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    pair: int
    namespace: str
    name: str
    delay_ms: int
    def __init__(self, pair: _Optional[int] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., delay_ms: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("id", "why")
    ID_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    id: int
    why: str
    def __init__(self, id: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("why",)
    WHY_FIELD_NUMBER: _ClassVar[int]
    why: str
    def __init__(self, why: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: int
    def __init__(self, payload: _Optional[int] = ...) -> None: ...
