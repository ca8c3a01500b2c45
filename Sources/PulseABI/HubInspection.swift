// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseHub
import PulseProcess
import PulseText
import PulseTransport

// Events of a hub, and looking at it.

/// What stands where an event has nothing to say.
private var nothing: UnsafePointer<CChar>? { constant("") }

/// Text that ends with NUL and lives as long as the event: an array's storage does not move while nobody changes it.
private func lent(_ text: [UInt8]) -> UnsafePointer<CChar>? {
  if text.isEmpty { return nothing }
  return text.withUnsafeBytes { $0.baseAddress.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) } }
}

@c @implementation
public func pulsews_hub_next(
  _ handle: OpaquePointer?, _ events: UnsafeMutablePointer<pulsews_hub_event>?, _ capacity: Int, _ timeout: Int64
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let events, capacity > 0 else { return StatusCode.invalidArgument.rawValue }
    let deadline = Clock.deadline(Clock.monotonic(), after: timeout)
    guard let taken = found.hub.nextEvents(min(capacity, 4096), until: deadline) else { return StatusCode.closed.rawValue }
    found.lent = taken
    for index in 0..<taken.count { fill(&events[index], taken[index]) }
    return taken.isEmpty ? StatusCode.timeout.rawValue : Int32(truncatingIfNeeded: taken.count)
  case .problem(let code): return code
  }
}

private func fill(_ out: inout pulsews_hub_event, _ event: HubEvent) {
  out.kind = event.kind.rawValue
  out.code = event.code
  out.peer = event.peer
  out.request = event.request
  out.time_ns = event.time
  out.count = event.count
  out.address = lent(event.address)
  out.route = lent(event.route)
  out.target = lent(event.target)
  out.method = lent(event.method)
  out.headers = lent(event.headers)
  out.topic = lent(event.topic)
  out.text = lent(event.text)
  out.data = event.data.withUnsafeBytes { $0.baseAddress }
  out.length = event.data.count
  out.reserved = (0, 0)
}

@c @implementation
public func pulsews_hub_wake_fd(_ handle: OpaquePointer?) -> Int32 {
  switch hub(handle) {
  case .hub(let found): found.hub.wakeDescriptor()
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_hub_option_at(
  _ index: Int, _ of: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ type: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ defaultValue: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ range: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard let (owner, sheet, row) = HubOptionTable.entry(index) else { return StatusCode.invalidArgument.rawValue }
  of?.pointee = constant(owner)
  name?.pointee = constant(sheet.name(row))
  type?.pointee = constant(sheet.kind(row))
  defaultValue?.pointee = constant(sheet.defaultValue(row))
  range?.pointee = constant(sheet.allowed(row))
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_hub_statistic_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ type: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ unit: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ meaning: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard index >= 0, index < HubStatistics.count else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(HubStatistics.name(index))
  type?.pointee = constant(HubStatistics.type(index))
  unit?.pointee = constant(HubStatistics.unit(index))
  meaning?.pointee = constant(HubStatistics.meaning(index))
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_hub_status_json(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  switch hub(handle) {
  case .hub(let found): copyBytes(found.hub.statusJSON(), buffer, size)
  case .problem(let code): Int64(code)
  }
}

@c @implementation
public func pulsews_hub_prometheus(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  switch hub(handle) {
  case .hub(let found): copyBytes(found.hub.prometheus(), buffer, size)
  case .problem(let code): Int64(code)
  }
}

@c @implementation
public func pulsews_hub_peers_json(_ handle: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int64 {
  switch hub(handle) {
  case .hub(let found): copyBytes(found.hub.peersJSON(), buffer, size)
  case .problem(let code): Int64(code)
  }
}

@c @implementation
public func pulsews_hub_statistics(_ handle: OpaquePointer?, _ values: UnsafeMutablePointer<Double>?, _ count: Int) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard values != nil || count == 0, count >= 0 else { return StatusCode.invalidArgument.rawValue }
    let statistics = found.hub.totals()
    for index in 0..<min(count, HubStatistics.count) { values?[index] = Double(statistics[index]) }
    return Int32(HubStatistics.count)
  case .problem(let code): return code
  }
}
