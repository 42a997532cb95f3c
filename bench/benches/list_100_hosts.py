"""A page of 100 of a project's 1,000 hosts, with site, region, instance, operating system and hardware."""

from functools import partial

from django.db import connection
from django.urls import path

from bench import rest
from bench.declare import Bench, Side

_TIMES = """json_build_object(
    'createdAt', to_char({0}.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'updatedAt', to_char({0}.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))"""

HOSTS = f"""
SELECT host.resource_id AS "resourceId", host.name, host.note, host.metadata, host.user_lvm_size AS "userLvmSize",
    coalesce(host.uuid::text, '') AS uuid, host.serial_number AS "serialNumber",
    host.desired_state AS "desiredState", host.current_state AS "currentState",
    host.host_status AS "hostStatus", host.host_status_indicator AS "hostStatusIndicator",
    host.host_status_timestamp AS "hostStatusTimestamp",
    host.onboarding_status AS "onboardingStatus", host.onboarding_status_indicator AS "onboardingStatusIndicator",
    host.onboarding_status_timestamp AS "onboardingStatusTimestamp",
    host.registration_status AS "registrationStatus",
    host.registration_status_indicator AS "registrationStatusIndicator",
    host.registration_status_timestamp AS "registrationStatusTimestamp",
    host.hostname, host.product_name AS "productName", host.memory_bytes::text AS "memoryBytes",
    host.cpu_model AS "cpuModel", host.cpu_sockets AS "cpuSockets", host.cpu_cores AS "cpuCores",
    host.cpu_threads AS "cpuThreads", host.cpu_architecture AS "cpuArchitecture",
    host.cpu_capabilities AS "cpuCapabilities", host.cpu_topology AS "cpuTopology",
    host.bios_vendor AS "biosVendor", host.bios_version AS "biosVersion",
    host.bios_release_date AS "biosReleaseDate", host.bmc_ip AS "bmcIp", {_TIMES.format("host")} AS timestamps,
    host.hardware->'storages' AS "hostStorages", host.hardware->'nics' AS "hostNics",
    host.hardware->'usbs' AS "hostUsbs", host.hardware->'gpus' AS "hostGpus",
    coalesce(host.site_id, '') AS "siteId", NULL AS provider,
    CASE WHEN site.id IS NOT NULL THEN json_build_object(
        'resourceId', site.resource_id, 'siteID', site.resource_id, 'name', site.name, 'siteLat', site.site_lat,
        'siteLng', site.site_lng, 'metadata', site.metadata, 'timestamps', {_TIMES.format("site")},
        'regionId', coalesce(site.region_id, ''), 'region', json_build_object(
            'resourceId', region.resource_id, 'regionID', region.resource_id, 'name', region.name,
            'metadata', region.metadata, 'timestamps', {_TIMES.format("region")})
    ) END AS site,
    CASE WHEN instance.id IS NOT NULL THEN json_build_object(
        'resourceId', instance.resource_id, 'instanceID', instance.resource_id, 'name', instance.name,
        'kind', instance.kind, 'securityFeature', instance.security_feature,
        'desiredState', instance.desired_state, 'currentState', instance.current_state,
        'provisioningStatus', instance.provisioning_status,
        'provisioningStatusIndicator', instance.provisioning_status_indicator,
        'provisioningStatusTimestamp', instance.provisioning_status_timestamp,
        'instanceStatus', instance.instance_status, 'instanceStatusIndicator', instance.instance_status_indicator,
        'instanceStatusTimestamp', instance.instance_status_timestamp,
        'instanceStatusDetail', instance.instance_status_detail, 'timestamps', {_TIMES.format("instance")},
        'os', json_build_object(
            'resourceId', os.resource_id, 'osResourceID', os.resource_id, 'name', os.name,
            'architecture', os.architecture, 'imageUrl', os.image_url, 'imageId', os.image_id, 'sha256', os.sha256,
            'profileName', os.profile_name, 'profileVersion', os.profile_version, 'description', os.description,
            'securityFeature', os.security_feature, 'osType', os.os_type, 'osProvider', os.os_provider,
            'tlsCaCert', os.tls_ca_cert, 'timestamps', {_TIMES.format("os")})
    ) END AS instance
FROM {{schema}}.inventory_host host
LEFT JOIN {{schema}}.inventory_site site ON site.resource_id = host.site_id
LEFT JOIN {{schema}}.inventory_region region ON region.resource_id = site.region_id
LEFT JOIN {{schema}}.inventory_instance instance ON instance.host_id = host.resource_id
LEFT JOIN {{schema}}.inventory_operatingsystem os ON os.resource_id = instance.os_id
"""

_PAGE = f"""
SELECT json_build_object(
    'hosts', (SELECT json_agg(row_to_json(page)) FROM ({HOSTS} ORDER BY host.resource_id LIMIT 100) page),
    'totalElements', total, 'hasNext', total > 100)::text
FROM (SELECT count(*) AS total FROM {{schema}}.inventory_host) counted
"""


@rest.behind_the_door
def page_by_sql(request, database) -> str:
    return database.execute(_PAGE.format(schema=connection.schema_name)).fetchone()[0]


_OURS, _FLOOR = "compute/hosts?pageSize=100", "floor/hosts"

bench = Bench(
    name="list-100-hosts",
    ours=Side(f"GET {_OURS} of 1,000 hosts", partial(rest.get, path=_OURS)),
    floor=Side("the same JSON made by one SQL statement, from a bare view", partial(rest.get, path=_FLOOR)),
    figures=rest.FIGURES,
    check=partial(rest.must_equal, ours=_OURS, floor=_FLOOR),
    urls=[path(_FLOOR, page_by_sql)],
)
