"""Our .proto files against the contract old clients were built from, and the generated files against our own."""

import json
from pathlib import Path

import pytest
from google.protobuf import descriptor
from google.protobuf.message import DecodeError

from wire import attestmgr_pb2, device_pb2, generate, hostmgr_pb2, maintmgr_pb2, onboarding_pb2, telemetrymgr_pb2, tink

CONTRACT = json.loads(Path(__file__).with_name("contract.json").read_text())
FILES = {
    "attestmgr": attestmgr_pb2.DESCRIPTOR,
    "onboarding": onboarding_pb2.DESCRIPTOR,
    "hostmgr": hostmgr_pb2.DESCRIPTOR,
    "device": device_pb2.DESCRIPTOR,
    "maintmgr": maintmgr_pb2.DESCRIPTOR,
    "telemetrymgr": telemetrymgr_pb2.DESCRIPTOR,
    "tink_old": tink.old.file,
    "tink_new": tink.new.file,
}
TYPES = {
    getattr(descriptor.FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in ("string", "bool", "int32", "int64", "uint32", "uint64")
}


def field_type(field: descriptor.FieldDescriptor) -> str:
    named = field.message_type or field.enum_type
    return named.full_name if named else TYPES[field.type]


def spoken(file: descriptor.FileDescriptor) -> dict:
    """What a file declares, in the shape of contract.json."""
    messages = file.message_types_by_name.values()
    enums = [*file.enum_types_by_name.values(), *(enum for message in messages for enum in message.enum_types)]
    methods = [method for service in file.services_by_name.values() for method in service.methods]
    editions = file.name == "wire/tink_new.proto"  # where every single field has presence, not only messages
    return {
        "messages": {
            message.full_name: {
                field.name: [field.number, field_type(field), field.is_repeated, editions and field.has_presence]
                for field in message.fields
            }
            for message in messages
        },
        "enums": {enum.full_name: {value.name: value.number for value in enum.values} for enum in enums},
        "methods": {
            f"/{method.containing_service.full_name}/{method.name}": [
                method.input_type.full_name,
                method.output_type.full_name,
                method.client_streaming,
                method.server_streaming,
            ]
            for method in methods
        },
    }


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["messages", "enums", "methods"])
def test_names_and_numbers_are_those_old_clients_know(name, kind):
    assert spoken(FILES[name])[kind] == CONTRACT[name][kind]


def test_generating_again_leaves_no_diff(tmp_path):
    generate.generate(tmp_path)
    made = {path.name: path.read_bytes() for path in (tmp_path / "wire").iterdir()}
    kept = {path.name: path.read_bytes() for path in generate.HERE.glob("*_pb2*")}
    kept |= {path.name: path.read_bytes() for path in generate.HERE.glob("*.binpb")}
    assert made == kept


def test_both_generations_live_in_one_interpreter():
    context = tink.old.WorkflowContext(current_action_state=tink.old.State.STATE_RUNNING)
    assert tink.old.WorkflowContext.FromString(context.SerializeToString()).current_action_state == 1
    action = tink.new.ActionResponse(name="reboot", timeout=90)
    assert tink.new.ActionResponse.FromString(action.SerializeToString()).timeout == 90
    with pytest.raises(AttributeError, match="the old worker protocol has no ActionRequest"):
        _ = tink.old.ActionRequest


def test_a_report_tells_which_generation_sent_it():
    state = tink.old.State.STATE_SUCCESS
    old = tink.old.WorkflowActionStatus(workflow_id="w", task_name="t", action_name="a", action_status=state)
    new = tink.new.ActionStatusRequest(workflow_id="w", agent_id="m", task_id="t", action_id="i", action_name="a")
    assert tink.parse_report(old.SerializeToString()) == old
    assert tink.parse_report(new.SerializeToString()) == new


def test_a_pending_report_says_nothing_in_field_4_and_is_an_old_one():
    pending = tink.old.WorkflowActionStatus(workflow_id="w", action_name="a", seconds=300, worker_id="m")
    assert tink.report_generation(pending.SerializeToString()) == "old"


@pytest.mark.parametrize("broken", [b"\x80", b"\x0b"])
def test_a_report_that_is_no_message_is_refused(broken):
    with pytest.raises(DecodeError):
        tink.report_generation(broken)
