// A processor with memory of its own: PicoRV32 (RV32IM), and bridges to the accelerator's registers and to the memory that both share.
//
//   0x0000_0000   memory of its own: program, data, stack
//   0x4000_0000   registers of the accelerator (AXI4-Lite)
//   0x5000_0000   write: a character to the console;  0x5000_0004: write: end, the value is the status
//   0x8000_0000   memory shared with the accelerator (AXI4, one beat an access)
module covenant_soc_cpu #(
    parameter DATA_BITS = 64,
    parameter ADDRESS_BITS = 32,
    parameter LITE_BITS = 12,
    parameter RAM_WORDS = 65536
) (
    input clk,
    input rst,
    output reg lite_awvalid, input lite_awready, output [LITE_BITS-1:0] lite_awaddr,
    output reg lite_wvalid, input lite_wready, output [31:0] lite_wdata, output [3:0] lite_wstrb,
    input lite_bvalid, output lite_bready,
    output reg lite_arvalid, input lite_arready, output [LITE_BITS-1:0] lite_araddr,
    input lite_rvalid, output lite_rready, input [31:0] lite_rdata,
    output reg arvalid, input arready, output [ADDRESS_BITS-1:0] araddr,
    input rvalid, output rready, input [DATA_BITS-1:0] rdata,
    output reg awvalid, input awready, output [ADDRESS_BITS-1:0] awaddr,
    output reg wvalid, input wready, output [DATA_BITS-1:0] wdata, output [DATA_BITS/8-1:0] wstrb,
    input bvalid, output bready
);
    localparam BYTES_LOG2 = $clog2(DATA_BITS / 8);

    wire valid;
    reg ready;
    wire [31:0] addr, data;
    wire [3:0] strobes;
    reg [31:0] answer;
    reg [31:0] ram [0:RAM_WORDS-1];
    reg begun;

    picorv32 #(.ENABLE_MUL(1), .ENABLE_DIV(1), .BARREL_SHIFTER(1), .ENABLE_COUNTERS(1), .CATCH_MISALIGN(1), .CATCH_ILLINSN(1)) cpu (
        .clk(clk), .resetn(~rst), .trap(trap), .mem_valid(valid), .mem_ready(ready), .mem_addr(addr), .mem_wdata(data), .mem_wstrb(strobes),
        .mem_rdata(answer), .irq(32'd0), .pcpi_wr(1'b0), .pcpi_rd(32'd0), .pcpi_wait(1'b0), .pcpi_ready(1'b0)
    );
    wire trap;

    assign lite_awaddr = addr[LITE_BITS-1:0];
    assign lite_araddr = addr[LITE_BITS-1:0];
    assign lite_wdata = data;
    assign lite_wstrb = strobes;
    assign lite_bready = 1'b1;
    assign lite_rready = 1'b1;
    wire [ADDRESS_BITS-1:0] place = {{(ADDRESS_BITS-31){1'b0}}, addr[30:0]} & ~((1 << BYTES_LOG2) - 1);
    assign araddr = place;
    assign awaddr = place;
    assign rready = 1'b1;
    assign bready = 1'b1;
    wire [BYTES_LOG2-3:0] word = addr[BYTES_LOG2-1:2];
    assign wdata = {(DATA_BITS / 32){data}};
    assign wstrb = {{(DATA_BITS / 8 - 4){1'b0}}, strobes} << {word, 2'b00};

    wire shared = addr[31], lite = addr[31:28] == 4'h4, console = addr[31:28] == 4'h5;
    wire fresh = valid && !ready && !begun;

    always @(posedge clk) begin
        ready <= 1'b0;
        if (lite_awready) lite_awvalid <= 1'b0;
        if (lite_wready) lite_wvalid <= 1'b0;
        if (lite_arready) lite_arvalid <= 1'b0;
        if (arready) arvalid <= 1'b0;
        if (awready) awvalid <= 1'b0;
        if (wready) wvalid <= 1'b0;
        if (rst) begin
            begun <= 1'b0;
            lite_awvalid <= 1'b0; lite_wvalid <= 1'b0; lite_arvalid <= 1'b0;
            arvalid <= 1'b0; awvalid <= 1'b0; wvalid <= 1'b0;
        end else if (fresh && !shared && !lite) begin
            ready <= 1'b1;
            if (console) begin
                if (strobes != 0 && !addr[2]) $write("%c", data[7:0]);
                if (strobes != 0 && addr[2]) begin
                    $display("END %0d", data);
                    $finish;
                end
            end else begin
                answer <= ram[addr[31:2]];
                if (strobes[0]) ram[addr[31:2]][7:0] <= data[7:0];
                if (strobes[1]) ram[addr[31:2]][15:8] <= data[15:8];
                if (strobes[2]) ram[addr[31:2]][23:16] <= data[23:16];
                if (strobes[3]) ram[addr[31:2]][31:24] <= data[31:24];
            end
        end else if (fresh) begin
            begun <= 1'b1;
            lite_awvalid <= lite && strobes != 0;
            lite_wvalid <= lite && strobes != 0;
            lite_arvalid <= lite && strobes == 0;
            awvalid <= shared && strobes != 0;
            wvalid <= shared && strobes != 0;
            arvalid <= shared && strobes == 0;
        end else if (begun && (lite_bvalid || lite_rvalid || rvalid || bvalid)) begin
            begun <= 1'b0;
            ready <= 1'b1;
            answer <= lite_rvalid ? lite_rdata : rdata[{word, 5'b00000} +: 32];
        end
        if (trap && !rst) begin
            $display("TRAP at %h", addr);
            $finish;
        end
    end
endmodule
