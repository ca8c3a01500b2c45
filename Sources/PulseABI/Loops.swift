// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess
import PulseText

@c @implementation
public func pulsews_loop_create(
  _ flags: UInt32, _ out: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<CChar>?,
  _ errorSize: Int
) -> Int32 {
  out?.pointee = nil
  guard let out else { return fail(.invalidArgument, "loop is NULL", error, errorSize) }
  guard flags <= 1 else {
    return fail(.invalidArgument, sentence("flags is \(Int(flags)); allowed: 0 or PULSEWS_LOOP_NO_THREAD"), error, errorSize)
  }
  switch ClientFactory.makeHost(hasThread: flags == 0) {
  case .success(let host):
    out.pointee = makeHandle(LoopHandle(host))
    return StatusCode.ok.rawValue
  case .failure(let problem):
    return fail(problem.code, problem.text, error, errorSize)
  }
}

@c @implementation
public func pulsews_loop_fd(_ handle: OpaquePointer?) -> Int32 {
  guard let host = loop(handle)?.host else { return StatusCode.invalidArgument.rawValue }
  return host.isForked ? StatusCode.forked.rawValue : host.descriptor
}

@c @implementation
public func pulsews_loop_run_once(_ handle: OpaquePointer?, _ timeout: Int64) -> Int32 {
  guard let host = loop(handle)?.host else { return StatusCode.invalidArgument.rawValue }
  if host.isForked { return StatusCode.forked.rawValue }
  return host.driveOnce(timeout: timeout < 0 ? -1 : timeout) ? StatusCode.ok.rawValue : StatusCode.busy.rawValue
}

@c @implementation
public func pulsews_loop_free(_ handle: OpaquePointer?) {
  guard let handle, let host = loop(handle)?.host, !host.isForked else { return }
  DefaultHost.release(host)
  Unmanaged<LoopHandle>.fromOpaque(UnsafeRawPointer(handle)).release()
}
