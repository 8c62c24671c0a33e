// Package fpga is the device plugin for FPGA cards. It knows four ways in which Linux shows them:
//
//   - the DFL framework of Intel's PAC cards (OPAE): a device for each port, /dev/dfl-port.N;
//   - Xilinx XRT: a device for each user function, /dev/dri/renderDN;
//   - slots of cloud instances in the style of AWS: a device for each slot;
//   - a bare fpga_manager: a device for each manager that no card above explains.
//
// What a part has (DSP blocks, logic elements, memory) is told by none of them and comes from a
// table, parts.yaml, which an operator can extend. A card that runs its golden image, the one that
// only serves to flash another, is shown as ill and neither handed out nor programmed.
//
// After a task an image stays where it is, for the next one that wants it; or, where an operator names a
// directory of blank images, it is taken away.
//
// The attributes are those of the kernel's Documentation/fpga/dfl.rst,
// Documentation/ABI/testing/sysfs-class-fpga-manager and sysfs-platform-dfl-*, and of XRT's
// xocl_sysfs.c.
package fpga
