// Records the AXI masters' signals to the file named by +axi=FILE: one record a cycle in which a channel is valid, 32-bit words, little
// endian: the cycle since the simulation began, then the sample, whose fields are padded to whole words (verif/hostile/channels.py).
module covenant_axi_trace #(
    parameter WIDTH = 32
) (
    input clk,
    input rst,
    input valid,
    input [WIDTH-1:0] sample
);
    reg [8*4096-1:0] path;
    integer file = 0;
    reg logging = 0;
    reg [31:0] cycle = 0;

    initial
        if ($value$plusargs("axi=%s", path)) begin
            file = $fopen(path, "wb");
            logging = 1;
        end

    always @(posedge clk) begin
        cycle <= cycle + 1;
        if (logging && !rst && valid)
            $fwrite(file, "%u", {sample, cycle});
    end
endmodule
