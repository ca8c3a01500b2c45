// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseProcess

@c @implementation
public func pulsews_config_create() -> OpaquePointer? { makeHandle(Configuration()) }

@c @implementation
public func pulsews_config_set(
  _ handle: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?,
  _ error: UnsafeMutablePointer<CChar>?, _ errorSize: Int
) -> Int32 {
  guard let config = config(handle) else { return fail(.invalidArgument, "config is NULL", error, errorSize) }
  guard name != nil else { return fail(.invalidArgument, "name is NULL", error, errorSize) }
  guard value != nil else { return fail(.invalidArgument, "value is NULL", error, errorSize) }
  guard fits(name), fits(value) else { return fail(.noMemory, "there is no memory for the option", error, errorSize) }
  guard let name = string(name) else { return fail(.unknownOption, "the option's name is not UTF-8", error, errorSize) }
  guard let value = string(value) else { return fail(.badValue, "the option's value is not UTF-8", error, errorSize) }
  switch config.options.set(name, value) {
  case nil: return StatusCode.ok.rawValue
  case .unknownOption(let sentence)?: return fail(.unknownOption, sentence, error, errorSize)
  case .badValue(let sentence)?: return fail(.badValue, sentence, error, errorSize)
  }
}

@c @implementation
public func pulsews_config_free(_ handle: OpaquePointer?) {
  if let handle { Unmanaged<Configuration>.fromOpaque(UnsafeRawPointer(handle)).release() }
}
