// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import CPulseWS
import PulseHub
import PulseProcess
import PulseText
import PulseTransport

// The life of a hub: create, set up, start, drain, free.

enum HubLookup {
  case hub(HubHandle)
  case problem(Int32)
}

/// Each holds one reference until its free function.
final class HubHandle: @unchecked Sendable {  // `lent` belongs to the one thread that may call pulsews_hub_next
  let hub: Hub
  /// The events that the last call of pulsews_hub_next gave.
  var lent: [HubEvent] = []

  init(_ hub: Hub) { self.hub = hub }
}

/// The hub, or why there is none: NULL, or a handle from before fork().
@inline(never)
func hub(_ handle: OpaquePointer?) -> HubLookup {
  guard let handle else { return .problem(StatusCode.invalidArgument.rawValue) }
  let found = Unmanaged<HubHandle>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
  if found.hub.isForked { return .problem(StatusCode.forked.rawValue) }
  return .hub(found)
}

@inline(never) func noHub(_ code: Int32, _ error: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int32 {
  copySentence(code == StatusCode.forked.rawValue ? "the hub was made before fork()" : "hub is NULL", error, size)
  return code
}

/// The bytes of a caller's text; nil for NULL and for bytes that are not UTF-8.
@inline(never) func textBytes(_ pointer: UnsafePointer<CChar>?) -> [UInt8]? { string(pointer)?.bytes }

@inline(never) private func result(_ problem: Failure?, _ error: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int32 {
  guard let problem else { return StatusCode.ok.rawValue }
  return fail(problem.code, problem.text, error, size)
}

@inline(never) private func badText(_ error: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int32 {
  fail(.invalidArgument, "an argument is NULL or not UTF-8", error, size)
}

@c @implementation
public func pulsews_hub_create(
  _ loopHandle: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?, _ why: UnsafeMutablePointer<CChar>?,
  _ size: Int
) -> Int32 {
  out?.pointee = nil
  guard let out else { return fail(.invalidArgument, "hub is NULL", why, size) }
  let host = loop(loopHandle)?.host
  if host?.isForked == true { return fail(.forked, "the loop was made before fork()", why, size) }
  do throws(TransportError) {
    out.pointee = makeHandle(HubHandle(try Hub(host: host)))
    return StatusCode.ok.rawValue
  } catch {
    let problem = Failure(error)
    return fail(problem.code, problem.text, why, size)
  }
}

@c @implementation
public func pulsews_hub_set(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?,
  _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let name = textBytes(name), let value = textBytes(value) else { return badText(error, errorSize) }
    return result(found.hub.set(name, value), error, errorSize)
  case .problem(let code): return noHub(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_hub_listen(
  _ handle: OpaquePointer?, _ address: UnsafePointer<CChar>?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let address = textBytes(address) else { return badText(error, errorSize) }
    return result(found.hub.listen(address), error, errorSize)
  case .problem(let code): return noHub(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_hub_address(
  _ handle: OpaquePointer?, _ index: Int, _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int
) -> Int64 {
  switch hub(handle) {
  case .hub(let found):
    guard let text = found.hub.address(index) else { return Int64(StatusCode.invalidArgument.rawValue) }
    return copyBytes(text.bytes, buffer, size)
  case .problem(let code): return Int64(code)
  }
}

@c @implementation
public func pulsews_hub_route(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?,
  _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let path = textBytes(path), let pair = option(name, value) else { return badText(error, errorSize) }
    return result(found.hub.route(path, pair.name, pair.value), error, errorSize)
  case .problem(let code): return noHub(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_hub_topic(
  _ handle: OpaquePointer?, _ pattern: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ value: UnsafePointer<CChar>?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let pattern = textBytes(pattern), let pair = option(name, value) else { return badText(error, errorSize) }
    return result(found.hub.topic(pattern, pair.name, pair.value), error, errorSize)
  case .problem(let code): return noHub(code, error, errorSize)
  }
}

/// Empty for name NULL; nil if it is none.
@inline(never)
private func option(_ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?) -> (name: [UInt8], value: [UInt8])? {
  if name == nil { return ([], []) }
  guard let name = textBytes(name), !name.isEmpty, let value = textBytes(value) else { return nil }
  return (name, value)
}

@c @implementation
public func pulsews_hub_key(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ algorithm: UnsafePointer<CChar>?,
  _ material: UnsafeRawPointer?, _ length: Int, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    guard let name = textBytes(name), let algorithm = textBytes(algorithm), let material, length > 0, length <= 1 << 20
    else { return badText(error, errorSize) }
    let bytes = Array(UnsafeRawBufferPointer(start: material, count: length))
    return result(found.hub.key(name, algorithm, bytes), error, errorSize)
  case .problem(let code): return noHub(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_hub_start(
  _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found): result(found.hub.start(), error, errorSize)
  case .problem(let code): noHub(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_hub_reload(
  _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  switch hub(handle) {
  case .hub(let found): result(found.hub.reload(), error, errorSize)
  case .problem(let code): noHub(code, error, errorSize)
  }
}

@c @implementation
public func pulsews_hub_drain(_ handle: OpaquePointer?, _ spread: Int64, _ timeout: Int64) -> Int32 {
  switch hub(handle) {
  case .hub(let found):
    found.hub.drain(spread: spread, until: Clock.deadline(Clock.monotonic(), after: timeout)).rawValue
  case .problem(let code): code
  }
}

@c @implementation
public func pulsews_hub_free(_ handle: OpaquePointer?) {
  guard case .hub(let found) = hub(handle) else { return }
  found.hub.finish()
  Unmanaged.passUnretained(found).release()
}
