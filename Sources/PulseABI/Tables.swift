// SPDX-License-Identifier: Apache-2.0
import CPulseWS
import PulseClient
import PulseText

// Versions, the error table, the option table.

@c @implementation
public func pulsews_version() -> UnsafePointer<CChar>? { constant(Version.text) }

@c @implementation
public func pulsews_version_number() -> UInt32 { Version.number }

@c @implementation
public func pulsews_error_at(_ index: Int) -> Int32 {
  index < 0 ? 0 : StatusCode.entry(index)?.code.rawValue ?? 0
}

@c @implementation
public func pulsews_error_name(_ code: Int32) -> UnsafePointer<CChar>? {
  if code == 0 { return constant("PULSEWS_OK") }
  return constant(StatusCode.entry(code: code)?.name ?? "PULSEWS_UNKNOWN")
}

@c @implementation
public func pulsews_error_text(_ code: Int32) -> UnsafePointer<CChar>? {
  if code == 0 { return constant("success") }
  return constant(StatusCode.entry(code: code)?.text ?? "not a status code of this library")
}

@c @implementation
public func pulsews_error_retryable(_ code: Int32) -> Int32 {
  StatusCode.entry(code: code)?.isRetryable == true ? 1 : 0
}

@c @implementation
public func pulsews_option_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ type: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ defaultValue: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ range: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ meaning: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard index >= 0, let entry = OptionTable.entry(index) else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(entry.name)
  type?.pointee = constant(entry.kindName)
  defaultValue?.pointee = constant(entry.defaultValue)
  range?.pointee = constant(entry.range)
  meaning?.pointee = constant(entry.meaning)
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_transition_at(
  _ index: Int, _ from: UnsafeMutablePointer<Int32>?, _ event: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ to: UnsafeMutablePointer<Int32>?, _ meaning: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard let entry = TransitionTable.entry(index) else { return StatusCode.invalidArgument.rawValue }
  from?.pointee = entry.from
  event?.pointee = constant(entry.event)
  to?.pointee = entry.to
  meaning?.pointee = constant(entry.meaning)
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_statistic_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ type: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ unit: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ meaning: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard let entry = StatisticTable.entry(index) else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(entry.name)
  type?.pointee = constant(entry.isCounter ? "counter" : "gauge")
  unit?.pointee = constant(entry.unit)
  meaning?.pointee = constant(entry.meaning)
  return StatusCode.ok.rawValue
}

@c @implementation
public func pulsews_preset_at(
  _ index: Int, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ text: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ options: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> Int32 {
  guard index >= 0, let entry = PresetTable.entry(index) else { return StatusCode.invalidArgument.rawValue }
  name?.pointee = constant(entry.name)
  text?.pointee = constant(entry.text)
  options?.pointee = constant(entry.options)
  return StatusCode.ok.rawValue
}
